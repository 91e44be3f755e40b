"""The commands, one after the other, as a user runs them: train, evaluate, export, benchmark."""

import shutil
import subprocess
import sys

import pytest

from robust_tf.export import FORMATS
from robust_tf.records.benchmark import Timings
from robust_tf.records.manifest import Manifest
from robust_tf.records.record import read
from robust_tf.report.runs import read_evaluation


@pytest.fixture
def robust(shared_runs):
    return shared_runs / "robust"


def test_training_says_how_it_goes(shared_runs):
    printed = (shared_runs / "output" / "train.txt").read_text()
    assert "validation accuracy" in printed
    assert printed.count("epoch ") == 6


def test_evaluation(robust, shared_runs):
    (path,) = (robust / "evaluation").glob("attacks-*restarts2*.json")
    record = read_evaluation(path)
    assert (record.num_images, record.eps, record.steps, record.restarts) == (360, 0.1, 10, 2)
    assert record.robust_accuracy <= min(record.per_attack.values()) <= record.clean_accuracy
    assert record.clean_accuracy > 0.6  # chance is 0.1
    assert "the worst for each image" in (shared_runs / "output" / "evaluate.txt").read_text()


def test_export_and_benchmark(robust):
    (path,) = (robust / "evaluation").glob("attacks-*restarts2*.json")
    record, manifest = read_evaluation(path), read(robust / "export" / "manifest.json", Manifest)
    assert [file.format for file in manifest.files] == list(FORMATS)
    assert manifest.left_out == ()
    assert manifest.keras_clean_accuracy == pytest.approx(record.clean_accuracy)
    float32 = manifest.files[0]
    assert float32.clean_accuracy == pytest.approx(record.clean_accuracy, abs=0.003)
    assert float32.robust_accuracy == pytest.approx(manifest.keras_robust_accuracy, abs=0.003)
    timings = read(robust / "export" / "benchmark.json", Timings).timings
    assert {timing.file for timing in timings} == {file.file for file in manifest.files}


def run(command, *flags):
    program = [sys.executable, "-m", f"robust_tf.commands.{command}", *flags]
    return subprocess.run(program, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        ("evaluate", ["--alpha=0.5", "--eps=0.1"], "--alpha: expected at most eps (0.1); got 0.5"),
        ("train", ["--eps=0.02"], " --eps=0.1 "),
    ],
)
def test_refusals_that_need_the_run(robust, tmp_path, command, flags, message):
    workdir = shutil.copytree(robust, tmp_path / "robust")
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*")}
    done = run(command, f"--workdir={workdir}", *flags)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*")} == before


@pytest.mark.parametrize("command", ["evaluate", "export_tflite"])
def test_no_run_there(tmp_path, command):
    done = run(command, f"--workdir={tmp_path}")
    assert done.returncode == 2
    assert "expected a finished run of bin/train" in done.stderr
    assert len(done.stderr.splitlines()) == 1
