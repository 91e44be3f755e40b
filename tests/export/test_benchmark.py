"""The benchmark script: stands alone, times both protocols, refuses in one line."""

import ast
import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.commands.benchmark import arguments
from robust_tf.export import benchmark_tflite
from robust_tf.export.formats import convert
from robust_tf.flags.declare import parse
from robust_tf.records.benchmark import Timings
from robust_tf.records.record import read
from robust_tf.training.config import TrainConfig
from robust_tf.training.rundir import RunDirectory

SCRIPT = Path(benchmark_tflite.__file__)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    x = np.random.default_rng(0).random((20, 6, 6, 1), np.float32)
    for name in ("float32", "int8"):
        (folder / f"model_{name}.tflite").write_bytes(convert(net, name, x))
    np.savez(folder / "sample.npz", images=x, labels=net(x).numpy().argmax(-1))
    return folder


def damaged(folder, tmp):
    """sample.npz with bytes of its middle turned over."""
    content = bytearray((folder / "sample.npz").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 50] = bytes(255 - byte for byte in content[middle : middle + 50])
    (tmp / "damaged.npz").write_bytes(content)
    return tmp / "damaged.npz"


def run(*arguments):
    """The copied script, in Python's isolated mode: none of ours can be imported by accident."""
    return subprocess.run([sys.executable, "-I", str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)


def timings_in(path):
    return json.loads(path.read_text())["timings"]


@pytest.fixture(scope="module")
def timed(folder, tmp_path_factory):
    """The finished process of one run over the folder, and its JSON file."""
    path = tmp_path_factory.mktemp("timed") / "b.json"
    return run(folder, "--runs=30", "--warmup=2", "--threads=2", f"--json={path}"), path


def test_it_is_python_3_8_and_needs_none_of_ours():
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 8))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    modules = {alias.name.split(".")[0] for node in imports for alias in node.names}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    assert modules <= {*sys.stdlib_module_names, "numpy"}


def test_a_folder(timed):
    done, path = timed
    assert done.returncode == 0, done.stderr
    records = timings_in(path)
    assert [(r["file"], r["protocol"]) for r in records] == [
        (file, protocol) for file in ("model_float32.tflite", "model_int8.tflite") for protocol in ("memory", "loading")
    ]
    for record in records:
        assert 0 < record["median_ms"] <= record["p90_ms"]
        assert record["mean_ms"] > 0
        assert (record["threads"], record["batch"]) == (2, 1)
        assert record["runtime"] in ("ai_edge_litert", "tflite_runtime")
        assert record["delegate"] in ("whole graph", "part of the graph", "none")
        assert record["accuracy"] >= 0.9
        assert record["device"]
        assert record["version"]
    assert records[0]["accuracy"] == 1
    assert records[0]["runs"] == 30
    float32, int8 = records[0], records[2]
    assert (float32["speedup"], float32["speedup_least"], float32["speedup_most"]) == (1, 1, 1)
    assert int8["speedup"] == pytest.approx(float32["median_ms"] / int8["median_ms"], rel=0.01)
    assert 0 < int8["speedup_least"] <= int8["speedup_most"]
    assert int8["speedup_over"] == "model_float32.tflite"
    assert "speedup" not in records[1]
    assert all(record["operations"] for record in records)
    assert all(0 < record["peak_memory_bytes"] < 1e9 for record in records)
    assert "model_int8.tflite" in done.stdout


def test_the_json_file_is_a_record(timed):
    """The script stands alone and the record is declared elsewhere: fields and values are the same in both."""
    written = json.loads(timed[1].read_text())
    assert written.keys() == {"record_version", "timings"}
    assert written["record_version"] == Timings.VERSION
    record = read(timed[1], Timings)
    assert len(record.timings) == len(written["timings"]) == 4
    for values, timing in zip(written["timings"], record.timings):
        values["operations"] = tuple(values["operations"])
        declared = asdict(timing)
        assert values == {name: declared[name] for name in values}
        assert all(declared[name] is None for name in declared.keys() - values.keys())


def test_timings_of_other_settings_are_kept_and_those_of_the_same_replaced(folder, tmp_path):
    path = tmp_path / "b.json"

    def times(batch, runs):
        done = run(folder / "model_float32.tflite", f"--batch={batch}", f"--runs={runs}", f"--json={path}")
        assert done.returncode == 0, done.stderr
        return timings_in(path)

    one = times(batch=1, runs=10)
    both = times(batch=10, runs=10)
    assert both[:2] == one
    assert [(timing["batch"], timing["protocol"]) for timing in both] == [
        (1, "memory"), (1, "loading"), (10, "memory"), (10, "loading")
    ]  # fmt: skip
    again = times(batch=1, runs=20)
    assert again[:2] == both[2:]
    assert [(timing["batch"], timing["protocol"]) for timing in again[2:]] == [(1, "memory"), (1, "loading")]
    assert (both[0]["runs"], again[2]["runs"]) == (10, 20)
    assert len(again) == len(read(path, Timings).timings) == 4


def test_timings_of_a_file_that_has_changed_go(folder, timed, tmp_path):
    """One file is another one of the same name and length; the other is as it was, and keeps its timings."""
    changed = tmp_path / "export"
    shutil.copytree(folder, changed)
    content = (changed / "model_int8.tflite").read_bytes()
    assert b"MLIR Converted" in content  # the converter's description, which the runtime does not read
    (changed / "model_int8.tflite").write_bytes(content.replace(b"MLIR Converted", b"another origin"))
    path = shutil.copy(timed[1], tmp_path / "b.json")
    done = run(changed, "--runs=10", f"--json={path}")
    assert done.returncode == 0, done.stderr
    found = [(timing["file"], timing["threads"]) for timing in timings_in(path) if timing["protocol"] == "memory"]
    assert found == [("model_float32.tflite", 2), ("model_float32.tflite", 1), ("model_int8.tflite", 1)]


def test_a_bare_list_of_an_earlier_version_is_kept(folder, timed, tmp_path):
    """It has no digests: a file with as many bytes as then counts as the same."""
    old = [{name: value for name, value in timing.items() if name != "sha256"} for timing in timings_in(timed[1])]
    another = {**old[0], "bytes": old[0]["bytes"] + 4}
    path = tmp_path / "b.json"
    path.write_text(json.dumps([*old, another]))
    done = run(folder / "model_float32.tflite", "--runs=10", f"--json={path}")
    assert done.returncode == 0, done.stderr
    found = timings_in(path)
    assert found[:4] == old
    assert [(timing["file"], timing["threads"]) for timing in found[4:]] == [("model_float32.tflite", 1)] * 2
    assert len(read(path, Timings).timings) == 6


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"\xff" + content,
        lambda content: b"[" * 100_000,
        lambda content: b"null",
        lambda content: b"[7]",
        lambda content: b"[{}]",
        lambda content: b'{"mode": "attacks"}',
        lambda content: content.replace(b'"record_version": 2', b'"record_version": 3'),
        lambda content: content.replace(b'"threads": 2', b'"threads": [2]'),
        lambda content: content.replace(b'"bytes"', b'"size"'),
    ],
)
def test_a_damaged_json_file_is_refused_and_stays(folder, timed, tmp_path, capsys, damage):
    path = tmp_path / "b.json"
    path.write_bytes(damage(timed[1].read_bytes()))
    before = path.read_bytes()
    assert benchmark_tflite.main([str(folder), "--runs=10", f"--json={path}"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"benchmark: --json: expected timings of this script in {path}")
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["b.json"]


def test_a_turn_each_and_what_comes_first_is_not_counted():
    order = []
    subjects = [
        benchmark_tflite.Subject(name, 0, lambda batch, name=name: order.append(name), {}, np.zeros((3, 1)), {})
        for name in "ab"
    ]
    seconds = benchmark_tflite.interleaved(subjects, size=2, runs=20, warmup=10)
    assert order == (["a"] * 3 + ["b"] * 3) * 10
    assert {name: [len(turn) for turn in turns] for name, turns in seconds.items()} == {"a": [2] * 10, "b": [2] * 10}


def test_speedups_by_hand():
    found = benchmark_tflite.speedup([[4.0, 4.0, 9.0], [6.0]], [[2.0, 2.0, 1.0], [1.0]])
    assert found == {"speedup": 3.333, "speedup_least": 2.0, "speedup_most": 6.0}


def test_energy_where_the_system_tells_it(tmp_path, monkeypatch):
    subject = benchmark_tflite.Subject("a", 0, lambda batch: None, {}, np.zeros((3, 1)), {})
    monkeypatch.setattr(benchmark_tflite, "ENERGY", str(tmp_path / "energy_uj"))
    assert benchmark_tflite.energy_per_run(subject, 1, 5) is None

    def spend(batch):
        counter = tmp_path / "energy_uj"
        counter.write_text(str(int(counter.read_text()) + 2_000_000))

    (tmp_path / "energy_uj").write_text("7")
    subject.run = spend
    assert benchmark_tflite.energy_per_run(subject, 1, 5) == pytest.approx(2.0)


def test_a_file_that_does_not_load_leaves_the_others(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for size in (0, 4, 200, 1000):
        (tmp_path / "model_float16.tflite").write_bytes((folder / "model_float32.tflite").read_bytes()[:size])
        alone = run(tmp_path / "model_float16.tflite", "--runs=5")
        assert alone.returncode == 2
        assert len(alone.stderr.splitlines()) == 1
    done = run(tmp_path, "--runs=5")
    assert done.returncode == 0
    assert done.stderr.startswith("benchmark: left out: ")
    assert "model_int8.tflite" in done.stdout


def test_an_absent_delegate(folder):
    done = run(folder, "--delegate=libabsent.so")
    assert done.returncode == 2
    assert "--delegate: expected a library that" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_keras_net_beside_the_files(folder, tmp_path):
    net = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    shutil.copytree(folder, tmp_path / "export")
    net.save(tmp_path / "model.keras")
    RunDirectory(tmp_path).claim(parse(TrainConfig, []))
    command = [sys.executable, "-m", "robust_tf.commands.benchmark", "--keras", "--runs=10"]
    done = subprocess.run([*command, f"--workdir={tmp_path}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "export" / "benchmark.json", Timings)
    records = timings_in(tmp_path / "export" / "benchmark.json")
    assert {r["file"]: r["runtime"] for r in records}["model.keras"] == "tensorflow"
    refused = subprocess.run([*command, str(folder)], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr == "benchmark: --keras: expected --workdir=DIR with it; got none\n"


def test_batches_and_no_sample(folder, tmp_path):
    (tmp_path / "alone.tflite").write_bytes((folder / "model_float32.tflite").read_bytes())
    done = run(tmp_path / "alone.tflite", "--batch=4", "--runs=5", f"--json={tmp_path / 'b.json'}")
    assert done.returncode == 0, done.stderr
    (record,) = timings_in(tmp_path / "b.json")  # without images there is nothing to load
    assert (record["protocol"], record["batch"], record["accuracy"]) == ("memory", 4, None)


def two_inputs(folder):
    one, other = keras.Input((2,)), keras.Input((2,))
    net = keras.Model([one, other], keras.layers.Add()([one, other]))
    path = folder / "two.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(net).convert())
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder, tmp: ["absent.tflite"], "expected a .tflite file or a folder of them; got 'absent.tflite'"),
        (lambda folder, tmp: [tmp], "expected a .tflite file or a folder of them"),
        (lambda folder, tmp: [folder / "sample.npz"], "expected a .tflite file for batch 1"),
        (lambda folder, tmp: [folder, "--runs=0"], "expected an integer >= 1; got '0'"),
        (lambda folder, tmp: [folder, "--threads=999999"], "expected an integer in [1, 1024]; got '999999'"),
        (lambda folder, tmp: [two_inputs(tmp)], "expected a .tflite file with one input; got 2"),
        (lambda folder, tmp: [folder, "--batch=99"], "--batch: expected at most 20 images; got 99"),
        (lambda folder, tmp: [folder, "--runtime=onnx"], "invalid choice: 'onnx'"),
        (lambda folder, tmp: [folder, "--images=absent.npz"], "expected a .npz file with images and labels"),
        (
            lambda folder, tmp: [folder, f"--images={damaged(folder, tmp)}"],
            "expected a .npz file with images and labels",
        ),
        (
            lambda folder, tmp: [folder, f"--json={tmp}/absent/b.json"],
            "--json: expected a writable file in an existing folder",
        ),
    ],
)
def test_refusals(folder, tmp_path, make, message):
    done = run(*make(folder, tmp_path))
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_images_of_another_shape(folder, tmp_path):
    np.savez(tmp_path / "other.npz", images=np.zeros((4, 5, 5, 1), np.float32), labels=np.zeros(4))
    done = run(folder, f"--images={tmp_path / 'other.npz'}")
    assert done.returncode == 2
    assert "expected images of shape [6, 6, 1]; got [5, 5, 1]" in done.stderr


def test_workdir_means_its_export_folder():
    assert arguments(["--workdir=r", "--runs=3"]) == (["r/export", "--json=r/export/benchmark.json", "--runs=3"], "r")
    assert arguments(["--workdir", "r", "--json=x"]) == (["r/export", "--json=x"], "r")
    assert arguments(["a.tflite"]) == (["a.tflite"], None)
    for empty in (["--workdir"], ["--workdir="]):
        with pytest.raises(benchmark_tflite.Refusal, match="expected a run directory"):
            arguments(empty)
