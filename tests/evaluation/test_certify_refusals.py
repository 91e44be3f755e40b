"""bin/evaluate --mode=certify with files that it cannot certify: one line, exit code 2, nothing written."""

import sys

import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.commands.evaluate import main
from robust_tf.export.formats import convert
from robust_tf.flags.declare import parse
from robust_tf.training.config import TrainConfig
from robust_tf.training.rundir import RunDirectory

SHAPE = (28, 28, 1)


def linear(shape=SHAPE, classes=10, inputs=1):
    images = [keras.Input(shape) for _ in range(inputs)]
    total = images[0] if inputs == 1 else keras.layers.Add()(images)
    return keras.Model(images, keras.layers.Dense(classes)(keras.layers.Flatten()(total)))


def two_inputs():
    return tf.lite.TFLiteConverter.from_keras_model(linear(inputs=2)).convert()


FILES = {
    "foreign": (lambda: b"PK\3\4 an archive", "expected a .tflite file; got another kind of file"),
    "truncated": (lambda: convert(linear(), "float32")[:3000], "expected a .tflite file; got "),
    "hybrid": (lambda: convert(linear(), "dynamic"), "FULLY_CONNECTED with int8 weights and float inputs"),
    "inputs": (two_inputs, "expected one input, of shape [1, 28, 28, 1]; got 2"),
    "images": (
        lambda: convert(linear((14, 56, 1)), "float32"),
        "expected an input of shape [1, 28, 28, 1]; got [1, 14",
    ),
    "classes": (lambda: convert(linear(classes=9), "float32"), "expected an output of shape [1, 10]; got [1, 9]"),
}


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    linear().save(run.net_path)
    run.claim(parse(TrainConfig, ["--eps=0.1"]))
    return run


def command(monkeypatch, capsys, run, *flags):
    """(exit code, lines on stderr) of bin/evaluate --mode=certify."""
    given = ["evaluate", f"--workdir={run.path}", "--mode=certify", "--num_images=20", *flags]
    monkeypatch.setattr(sys, "argv", given)
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code, capsys.readouterr().err.strip().splitlines()


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_certified(run, tmp_path, monkeypatch, capsys, name):
    content, message = FILES[name]
    path = tmp_path / "net.tflite"
    path.write_bytes(content())
    code, (line,) = command(monkeypatch, capsys, run, f"--file={path}")
    assert code == 2
    assert message in line
    assert list(run.path.glob("evaluation/*")) == []


@pytest.mark.parametrize("eps", ["1.01", "8", "-0.1", "wide"])
def test_a_radius_beyond_the_pixels(run, monkeypatch, capsys, eps):
    code, (line,) = command(monkeypatch, capsys, run, f"--eps={eps}")
    assert code == 2
    assert "--eps" in line
    assert "expected a number or fraction in [0, " in line
    assert list(run.path.glob("evaluation/*")) == []
