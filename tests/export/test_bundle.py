"""The archive for a device: all that it needs, under relative names, the same for the same files."""

import json
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import tf_keras as keras

from robust_tf.export.bundle import bundle
from robust_tf.export.formats import convert
from robust_tf.export.golden import golden, random_images


@pytest.fixture
def folder(tmp_path):
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    (tmp_path / "model_float32.tflite").write_bytes(convert(net, "float32"))
    np.savez(tmp_path / "sample.npz", images=np.zeros((3, 6, 6, 1), np.float32), labels=np.zeros(3, int))
    (tmp_path / "manifest.json").write_text("{}")
    golden(tmp_path, random_images((6, 6, 1)))
    return tmp_path


def test_what_it_holds(folder):
    path = bundle(folder, "my-run", ("cat", "dog"), {"pixels": "in [0, 1]"})
    first = path.read_bytes()
    with tarfile.open(path) as archive:
        names = archive.getnames()
        assert archive.extractfile("my-run/labels.txt").read() == b"cat\ndog\n"
        assert json.load(archive.extractfile("my-run/preprocessing.json")) == {"pixels": "in [0, 1]"}
        model = archive.extractfile("my-run/model_float32.tflite").read()
    assert model == (folder / "model_float32.tflite").read_bytes()
    assert all(name.startswith("my-run/") and ".." not in name for name in names)
    kit = {
        "benchmark_tflite.py",
        "requirements-device.txt",
        "Containerfile",
        "README.md",
        "manifest.json",
        "sample.npz",
        "golden.npz",
    }
    assert {name.removeprefix("my-run/") for name in names} >= kit
    assert bundle(folder, "my-run", ("cat", "dog"), {"pixels": "in [0, 1]"}).read_bytes() == first


def test_it_runs_where_it_is_unpacked(folder, tmp_path):
    device = tmp_path / "device"
    with tarfile.open(bundle(folder, "my-run", ("cat", "dog"), {})) as archive:
        archive.extractall(device, filter="data")
    command = [sys.executable, "-I", "benchmark_tflite.py", ".", "--runs=10"]
    done = subprocess.run(command, cwd=device / "my-run", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "model_float32.tflite" in done.stdout
