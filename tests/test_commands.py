"""Commands refuse input with one line and an exit code, and print help, before TensorFlow is imported."""

import subprocess
import sys

import pytest

from robust_tf.export.config import ExportConfig
from robust_tf.flags.declare import parse
from robust_tf.refusal import Refusal


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
