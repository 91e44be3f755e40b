"""Golden vectors: what the host writes, and what the script says of a device whose kernels differ."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras

from robust_tf.evaluation.tflite import RESOLVERS
from robust_tf.export import benchmark_tflite
from robust_tf.export import golden as golden_vectors
from robust_tf.export.formats import convert
from robust_tf.export.golden import IMAGES, golden, random_images
from robust_tf.files import write_arrays

SHAPE = (10, 10, 1)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder, layers = tmp_path_factory.mktemp("golden"), keras.layers
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(8, 3, activation="relu"), layers.Flatten()])
    net.add(layers.Dense(4))
    for name in ("float32", "int8", "dynamic"):
        content = convert(net, name, np.random.default_rng(0).random((20, *SHAPE), np.float32))
        (folder / f"model_{name}.tflite").write_bytes(content)
    golden(folder, random_images(SHAPE))
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "kit")


def arrays(folder):
    with np.load(folder / "golden.npz") as stored:
        return dict(stored)


def check(*arguments):
    """The script in Python's isolated mode, where nothing of the project can be imported."""
    command = [sys.executable, "-I", benchmark_tflite.__file__, *map(str, arguments), "--check"]
    return subprocess.run(command, capture_output=True, text=True)


def test_random_images_are_the_same_each_time_and_reach_both_ends():
    images = random_images(SHAPE)
    np.testing.assert_array_equal(images, random_images(SHAPE))
    assert images.shape == (IMAGES, *SHAPE)
    assert images.dtype == np.uint8
    assert sum(set(np.unique(image)) <= {0, 255} for image in images) == IMAGES // 2


def test_every_family_lies_inside_the_bounds_of_certified_files(folder):
    stored = arrays(folder)
    for name in ("float32", "int8"):
        low, high = (stored[f"model_{name}.tflite/{side}"] for side in ("low", "high"))
        for family in RESOLVERS:
            scores = stored[f"model_{name}.tflite/{family}"]
            assert ((low <= scores) & (scores <= high)).all()
    assert stored["model_int8.tflite/xnnpack"].dtype == np.int8
    assert "model_dynamic.tflite/low" not in stored
    assert "model_dynamic.tflite/xnnpack" in stored
    before = (folder / "golden.npz").read_bytes()
    golden(folder, random_images(SHAPE))
    assert (folder / "golden.npz").read_bytes() == before


def test_a_file_with_scores_outside_its_bounds_has_none(folder, monkeypatch):
    computed = golden_vectors.tflite.by_family
    monkeypatch.setattr(
        golden_vectors.tflite,
        "by_family",
        lambda path, x: {name: scores + np.int8(40) for name, scores in computed(path, x).items()},
    )
    golden(folder, random_images(SHAPE))
    assert not [name for name in arrays(folder) if name.endswith(("/low", "/high"))]


def test_this_machine_is_inside(folder):
    done = check(folder)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("model_")}
    assert "inside" in rows["model_int8.tflite"]
    assert f"xnnpack equal {IMAGES}, at most 0 off" in rows["model_int8.tflite"]
    assert "not certified" in rows["model_dynamic.tflite"]


@pytest.mark.parametrize("family", RESOLVERS)
def test_the_kernels_of_each_family_are_inside(folder, family, monkeypatch, capsys):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    def chosen(**given):
        return Interpreter(**given, experimental_op_resolver_type=getattr(OpResolverType, RESOLVERS[family]))

    monkeypatch.setattr(benchmark_tflite, "find_runtime", lambda wanted: (chosen, f"these {family}"))
    assert benchmark_tflite.main([str(folder / "model_int8.tflite"), "--check"]) == 0
    assert f"{family} equal {IMAGES}, at most 0 off" in capsys.readouterr().out


@pytest.mark.parametrize("moved", [3, np.nan])
def test_a_device_outside_ends_with_code_1(folder, monkeypatch, capsys, moved):
    """Its kernels add 3 to one score of every float image, or give none."""
    run = benchmark_tflite.run

    def other(interpreter, batch):
        scores = run(interpreter, batch)
        return scores + np.array([0, moved, 0, 0], np.float32) if scores.dtype == np.float32 else scores

    monkeypatch.setattr(benchmark_tflite, "run", other)
    assert benchmark_tflite.main([str(folder), "--check"]) == 1
    rows = capsys.readouterr().out.splitlines()
    assert any(row.startswith("model_float32") and f"OUTSIDE: {IMAGES} images" in row for row in rows)
    assert any(row.startswith("model_int8") and "inside" in row for row in rows)
    assert rows[-1].startswith("The certificates of files that are OUTSIDE do not hold")


def changed(folder, name, value):
    write_arrays(folder / "golden.npz", **{**arrays(folder), name: value})


def test_what_cannot_be_checked_is_refused_in_one_line(folder):
    def refused(message, *arguments):
        done = check(*(arguments or [folder]))
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert message in line

    refused("expected a file with a certificate; got none", folder / "model_dynamic.tflite")
    refused("--check: expected neither --batch nor --json with it", folder, "--batch=2")
    changed(folder, "model_int8.tflite/low", np.zeros((2, 2)))
    refused("expected scores of shape (20, 4) for model_int8.tflite", folder / "model_int8.tflite")
    changed(folder, "images", np.zeros((20, 9, 9, 1), np.uint8))
    refused("expected images of shape [9, 9, 1] as in golden.npz")
    path = folder / "model_int8.tflite"
    path.write_bytes(path.read_bytes()[:-1])
    refused("expected the file of golden.npz; got another one", path)
    content = (folder / "golden.npz").read_bytes()
    (folder / "golden.npz").write_bytes(content[: len(content) // 2])
    refused("--check: expected golden.npz of bin/export_tflite --bundle beside the files; got")
    Path(folder / "golden.npz").unlink()
    refused("--check: expected golden.npz of bin/export_tflite --bundle beside the files; got")
