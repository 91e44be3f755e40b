"""Commands refuse input with one line and an exit code, and print help, before TensorFlow is imported."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from robust_tf.commands import one_line, run_command
from robust_tf.data.decode import Unreadable, decoded
from robust_tf.export.config import ExportConfig
from robust_tf.flags.declare import parse
from robust_tf.refusal import BrokenCertificate, Refusal
from robust_tf.training.config import TrainConfig


def test_refusals_of_export():
    with pytest.raises(Refusal, match="one of float32, float16, dynamic, int8, sparse, compact"):
        parse(ExportConfig, ["--workdir=x", "--formats=float64"])


@pytest.mark.parametrize(
    ("command", "flag", "code"),
    [
        ("train", "--eps=2", 2),
        ("train", f"--workdir={__file__}", 2),
        ("evaluate", "--eps=2", 2),
        ("evaluate", "--workdir=absent", 2),
        ("export_tflite", "--formats=x", 2),
        ("export_tflite", "--workdir=absent", 2),
        ("sweep", "--grid=ratio=2", 2),
        ("sweep", "--rato=0.1", 2),
        ("sweep", "--evaluate='", 2),
        ("sweep", "--evaluate=--eps=2", 2),
        ("sweep", f"--workdir={__file__}", 2),
        ("import_net", "--input_scaling=2", 2),
        ("import_net", "absent.keras", 2),
        ("train", "--model=absent.keras", 2),
        ("train", "--help", 0),
        ("import_net", "--help", 0),
        ("sweep", "--help", 0),
        ("evaluate", "--help", 0),
        ("export_tflite", "--help", 0),
    ],
)
def test_refusals_and_help_come_before_tensorflow(command, flag, code):
    program = (
        f"import sys; sys.argv = ['x', {flag!r}]\n"
        f"from robust_tf.commands.{command} import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    code = stop.code\nelse:\n    code = 0\n"
        "print('tensorflow' in sys.modules, code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"False {code}"
    assert len(done.stderr.splitlines()) == (1 if code else 0)


def in_command(monkeypatch, work):
    monkeypatch.setattr(sys, "argv", ["train"])
    run_command("train", TrainConfig, lambda config: None, lambda config: work())


def test_warnings_of_the_image_library_are_not_printed(monkeypatch, tmp_path):
    """On damaged metadata, and on sizes that it still decodes; a size that it does not makes a file unreadable."""
    image = Image.fromarray(np.zeros((12, 10, 3), np.uint8))
    image.save(tmp_path / "exif.png", exif=b"Exif\0\0II*\0\x08\0\0\0")
    image.save(tmp_path / "large.png")

    def caught(path, in_one_command):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            if in_one_command:
                in_command(monkeypatch, lambda: decoded(path, 3))
            else:
                decoded(path, 3)
        return [each for each in found if "PIL" in each.filename]

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("exif.png", "large.png"):
        assert caught(tmp_path / name, in_one_command=False)
        assert not caught(tmp_path / name, in_one_command=True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(Unreadable, match="exceeds limit"):
        decoded(tmp_path / "large.png", 3)


def test_a_refusal_is_one_line_whatever_names_it_quotes(monkeypatch, capsys):
    def refuse():
        raise Refusal("expected a name; got a\nb \x1b[2J\udcff")

    with pytest.raises(SystemExit) as stopped:
        in_command(monkeypatch, refuse)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "train: expected a name; got a b \\x1b[2J\\udcff\n"


def test_a_certificate_that_an_attack_breaks_has_an_exit_code_of_its_own(capsys):
    with pytest.raises(SystemExit) as stop, one_line("evaluate"):
        raise BrokenCertificate("pgd: expected certified images to survive")
    assert stop.value.code == 3
    assert capsys.readouterr().err == "evaluate: pgd: expected certified images to survive\n"


@pytest.mark.parametrize(("name", "what"), [("train", "resumes training"), ("report", "starts again")])
def test_after_an_interruption_it_says_what_the_same_command_does(capsys, name, what):
    with pytest.raises(SystemExit) as stop, one_line(name):
        raise KeyboardInterrupt
    assert stop.value.code == 130
    assert capsys.readouterr().err.startswith(f"{name}: interrupted; the same command {what}")
