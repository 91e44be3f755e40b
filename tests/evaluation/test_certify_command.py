"""bin/certify: files that this project did not make."""

import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from PIL import Image

from robust_tf.commands.certify import main
from robust_tf.data.digits import load
from robust_tf.models.imported.scaling import SCALINGS
from robust_tf.records.evaluation import CertifiedFile
from robust_tf.records.record import read

EPS = 0.03


def run(monkeypatch, *argv):
    """The exit code of bin/certify."""
    monkeypatch.setattr(sys, "argv", ["certify", *map(str, argv)])
    try:
        main()
    except SystemExit as stop:
        return stop.code
    return 0


def fitted(images, labels, name):
    """A linear net for pixels in that scaling, by least squares on one-hot labels."""
    K = int(max(labels)) + 1
    net = keras.Sequential([keras.Input(images.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(K)])
    x = images.reshape(len(images), -1) / 255
    design = np.concatenate([x, np.ones((len(x), 1))], 1)
    W = np.linalg.solve(design.T @ design + 100 * np.eye(len(design.T)), design.T @ np.eye(K)[labels])
    scaling = SCALINGS[name]  # W x + b = (W / scale) (scale x + offset) + b - offset W / scale
    net.layers[-1].set_weights([W[:-1] / scaling.scale, W[-1] - scaling.offset / scaling.scale * W[:-1].sum(0)])
    return net


def converted(net, path, images=None, ends=None):
    """Written by TensorFlow's converter alone; in 8 bits with `images`, its ends of the type `ends`."""
    converter = tf.lite.TFLiteConverter.from_keras_model(net)
    if images is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None].astype(np.float32)] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = ends
    path.write_bytes(converter.convert())
    return path


@pytest.fixture(scope="module")
def digits():
    return load("train"), tuple(part[:100] for part in load("test"))


@pytest.mark.parametrize("name", ["0..1", "-1..1", "0..255"])
def test_a_linear_net_in_float_is_certified_as_computed_by_hand(monkeypatch, tmp_path, digits, capsys, name):
    train, (images, labels) = digits
    net = fitted(*train, name)
    path = converted(net, tmp_path / "their.tflite")
    asked = (path, f"--eps={EPS}", "--num_images=100", f"--json={tmp_path / 'c.json'}", f"--input_scaling={name}")
    assert run(monkeypatch, *asked) == 0
    found = read(tmp_path / "c.json", CertifiedFile)
    W, bias = (np.float64(w) for w in net.layers[-1].get_weights())
    low, high = np.clip(images / 255.0 - EPS, 0, 1), np.clip(images / 255.0 + EPS, 0, 1)
    low, high = (SCALINGS[name].of(side).reshape(100, -1) for side in (low, high))
    robust = np.ones(100, bool)
    for n, y in enumerate(labels):
        rows = W[:, [y]] - np.delete(W, y, 1)
        least = ((low + high)[n] / 2) @ rows - ((high - low)[n] / 2) @ np.abs(rows) + bias[y] - np.delete(bias, y)
        robust[n] = (least > 0).all()
    assert found.certificate.certified == robust.sum() > 20
    z = SCALINGS[name].of(images / 255.0).reshape(100, -1) @ W + bias
    assert found.correct == found.certificate.certified_clean == (z.argmax(-1) == labels).sum()
    assert found.outside == 0
    assert "their.tflite, 100 test images" in capsys.readouterr().out


def test_8_bits_with_ends_of_any_type(monkeypatch, tmp_path, digits):
    train, (images, _) = digits
    net, counts = fitted(*train, "-1..1"), []
    scaled = SCALINGS["-1..1"].of(images / 255.0)
    for ends in (tf.int8, tf.uint8, tf.float32):
        path = converted(net, tmp_path / f"{ends.name}.tflite", scaled, ends)
        asked = (path, f"--eps={EPS}", "--num_images=100", f"--json={tmp_path / 'c.json'}", "--input_scaling=-1..1")
        assert run(monkeypatch, *asked) == 0
        found = read(tmp_path / "c.json", CertifiedFile)
        assert found.outside == 0
        assert found.certificate.certified <= found.certificate.certified_clean <= found.correct
        counts.append(found.certificate.certified)
    assert counts[0] == counts[1] == counts[2] > 20


def test_a_folder_and_the_names_of_the_outputs(monkeypatch, tmp_path, capsys):
    generator, data = np.random.default_rng(0), tmp_path / "data"
    for label, name in enumerate(("dark", "light")):
        (data / name).mkdir(parents=True)
        for number in range(6):
            pixels = generator.integers(0, 60, (12, 10, 3)) + 180 * label
            Image.fromarray(pixels.astype(np.uint8)).save(data / name / f"{number}.png")
    net = keras.Sequential([keras.Input((6, 5, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    net.layers[-1].set_weights([np.tile([[1.0, -1.0]], (90, 1)), np.array([-45.0, 45.0])])  # light first
    path = converted(net, tmp_path / "their.tflite")
    asked = [path, "--dataset=folder", f"--data_dir={data}", "--eps=0.1"]
    assert run(monkeypatch, *asked) == 0
    said = capsys.readouterr().out
    assert "has no folder test: all its images are taken" in said
    assert "warning: no better than a guess; --input_scaling and --labels say" in said
    (tmp_path / "names.txt").write_text("light\ndark\n")
    assert run(monkeypatch, *asked, f"--labels={tmp_path / 'names.txt'}") == 0
    said = capsys.readouterr().out
    assert said.count("100.00%") == 3
    assert "warning" not in said


def test_one_line_for_what_it_does_not_know(monkeypatch, tmp_path, capsys):
    L = keras.layers
    dense = converted(keras.Sequential([keras.Input((28, 28, 1)), L.Flatten(), L.Dense(10)]), tmp_path / "dense.tflite")
    soft = keras.Sequential([keras.Input((28, 28, 1)), L.Flatten(), L.Dense(10, activation="softmax")])
    small = keras.Sequential([keras.Input((9, 9, 1)), L.Flatten(), L.Dense(10)])
    (tmp_path / "text.tflite").write_text("no file")
    (tmp_path / "cut.tflite").write_bytes(dense.read_bytes()[:500])
    for argv, said in (
        ([], "expected bin/certify FILE, a .tflite file; got none"),
        ([dense], "--eps: expected a radius in pixels of [0, 1], such as 8/255; got none"),
        ([dense, "--eps=8"], "did you mean 8/255?"),
        ([dense, "--eps=0.1", "--data_dir=x"], "--data_dir=x: expected one of the data sets mnist|"),
        ([dense, "--eps=0.1", "--input_scaling=caffe"], "--input_scaling=caffe: expected a file for 3 channels; got 1"),
        ([tmp_path / "absent.tflite", "--eps=0.1"], "expected a .tflite file; got none"),
        ([tmp_path, "--eps=0.1"], "expected a .tflite file; got a folder"),
        ([tmp_path / "text.tflite", "--eps=0.1"], "text.tflite: expected"),
        ([tmp_path / "cut.tflite", "--eps=0.1"], "cut.tflite: expected"),
        (
            [converted(soft, tmp_path / "soft.tflite"), "--eps=0.1"],
            "expected a dense layer at the end, in int8 or float32; got SOFTMAX",
        ),
        ([converted(small, tmp_path / "small.tflite"), "--eps=0.1"], "expected an input of shape [1, 28, 28, 1]; got"),
    ):
        assert run(monkeypatch, *argv, "--num_images=5", f"--json={tmp_path / 'c.json'}") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("certify: ")
        assert said in line, line
    assert not (tmp_path / "c.json").exists()
