"""The whole quickstart."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_it_trains_evaluates_exports_and_benchmarks(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "robust_tf.commands.quickstart", str(tmp_path / "run")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for shown in (
        "$ bin/train --flagfile=configs/quickstart.cfg",
        "$ bin/evaluate",
        "$ bin/export_tflite",
        "$ bin/benchmark",
    ):
        assert shown in done.stdout
    assert "What you would ship: 21,525 of 430,500 (5.0%) weights kept" in done.stdout


def test_arguments_it_does_not_know():
    done = subprocess.run(
        [sys.executable, "-m", "robust_tf.commands.quickstart", "--fast"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "quickstart: expected at most one argument, WORKDIR; got --fast\n"
