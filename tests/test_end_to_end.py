"""The commands, one after the other, as a user runs them: train, evaluate, export, benchmark."""

import json
import subprocess
import sys

import pytest

from robust_tf.config import FORMATS


def run(command, *flags):
    program = [sys.executable, "-m", f"robust_tf.commands.{command}", *flags]
    return subprocess.run(program, capture_output=True, text=True)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    flags = ["--conv_relu", "--width=0.3", "--optimizer=adam", "--batch_size=128", "--steps=2", "--eps=0.1"]
    flags += ["--ratio=0.2", "--pretrain_epochs=4", "--epochs=4", "--finetune_epochs=3", "--admm_interval=4"]
    done = run("train", f"--workdir={workdir}", *flags)
    assert done.returncode == 0, done.stderr
    assert "validation accuracy" in done.stdout
    return workdir


def test_the_whole_way(workdir):
    done = run("evaluate", f"--workdir={workdir}", "--attacks=fgsm,pgd", "--eps=0.1", "--steps=10", "--restarts=2")
    assert done.returncode == 0, done.stderr
    (path,) = (workdir / "evaluation").glob("*.json")
    record = json.loads(path.read_text())
    assert (record["num_images"], record["eps"], record["steps"], record["restarts"]) == (360, 0.1, 10, 2)
    assert record["robust_accuracy"] <= min(record["per_attack"].values()) <= record["clean_accuracy"]
    assert isinstance(record["flags"], list)
    assert record["clean_accuracy"] > 0.6  # ten classes: far from guessing
    assert "the worst for each image" in done.stdout

    done = run("export_tflite", f"--workdir={workdir}", "--steps=5")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((workdir / "export" / "manifest.json").read_text())
    assert [row["format"] for row in manifest["files"]] == list(FORMATS)
    assert manifest["left_out"] == []
    assert manifest["keras_clean_accuracy"] == pytest.approx(record["clean_accuracy"])
    float32 = manifest["files"][0]
    assert float32["clean_accuracy"] == pytest.approx(record["clean_accuracy"], abs=0.003)
    assert float32["robust_accuracy"] == pytest.approx(manifest["keras_robust_accuracy"], abs=0.003)

    done = run("benchmark", f"--workdir={workdir}", "--runs=20")
    assert done.returncode == 0, done.stderr
    records = json.loads((workdir / "export" / "benchmark.json").read_text())
    assert {record["file"] for record in records} == {row["file"] for row in manifest["files"]}


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        ("evaluate", ["--alpha=0.5", "--eps=0.1"], "--alpha: expected at most eps (0.1); got 0.5"),
        ("train", ["--eps=0.02"], "belongs to another configuration"),
    ],
)
def test_refusals_that_need_the_run(workdir, command, flags, message):
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
