"""Nets of keras.applications, trained elsewhere: bin/import, bin/evaluate, bin/export_tflite and bin/benchmark."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from robust_tf.records.benchmark import Timings
from robust_tf.records.manifest import Manifest
from robust_tf.records.record import read
from robust_tf.report.runs import read_run

COLOURS = {"blue": (60, 60, 200), "green": (60, 200, 60), "red": (200, 60, 60)}
NETS = {"MobileNetV2": "-1..1", "MobileNetV3Small": "0..255", "EfficientNetB0": "0..255"}  # and their pixels
FORMATS = ("float32", "float16", "compact")  # not int8: nets that are trained so briefly lose too much in 8 bits
SIZE = 32


def images_in(folder):
    """Noisy images of three colours in a folder; the training images [N, SIZE, SIZE, 3] up to 255, and labels."""
    rng, x, y = np.random.default_rng(0), [], []
    for split, number in (("train", 24), ("test", 8)):
        for label, (name, colour) in enumerate(COLOURS.items()):
            place = folder / split / name
            place.mkdir(parents=True)
            for i in range(number):
                image = np.clip(rng.normal(colour, 40, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(image).save(place / f"{i}.png")
                if split == "train":
                    x.append(image)
                    y.append(label)
    return np.array(x, np.float32), np.array(y)


def train_elsewhere(name, x, y, path):
    """A program of the user's, in Keras 3; batch statistics that follow the few steps."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    keras.utils.set_random_seed(0)
    net = getattr(keras.applications, name)(weights=None, input_shape=(SIZE, SIZE, 3), classes=len(COLOURS))
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.5
    net.compile("adam", "sparse_categorical_crossentropy")
    net.fit(x if NETS[name] == "0..255" else x / 127.5 - 1, y, epochs=8, batch_size=24, verbose=0)
    net.save(path)


def run(command, *flags):
    program = [sys.executable, "-m", f"robust_tf.commands.{command}", *flags]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_the_way_of_an_imported_net(tmp_path, name):
    train_elsewhere(name, *images_in(tmp_path / "images"), tmp_path / "net.keras")
    workdir = f"--workdir={tmp_path / 'run'}"
    data = ["--dataset=folder", f"--data_dir={tmp_path / 'images'}", f"--image_size={SIZE}"]
    printed = run("import_net", str(tmp_path / "net.keras"), *data, workdir, f"--input_scaling={NETS[name]}")
    assert "a net of Keras 3, converted" in printed
    run("evaluate", workdir, "--attacks=pgd", "--steps=2", "--num_images=12")
    run("export_tflite", workdir, f"--formats={','.join(FORMATS)}", "--steps=1")
    run("benchmark", workdir, "--runs=2")
    (record,) = read_run("run", tmp_path / "run").evaluations.values()
    assert record.clean_accuracy > 0.5  # chance is 1/3
    manifest = read(tmp_path / "run" / "export" / "manifest.json", Manifest)
    assert manifest.left_out == ()
    assert [file.format for file in manifest.files] == list(FORMATS)
    timings = read(tmp_path / "run" / "export" / "benchmark.json", Timings).timings
    assert {timing.file for timing in timings} == {file.file for file in manifest.files}
