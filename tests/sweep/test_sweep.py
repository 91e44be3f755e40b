"""A sweep: what is done in which order, what a failure costs, and the table at the end."""

import concurrent.futures
import csv
import json
import re
import subprocess
import sys

import pytest
from rich.console import Console

from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.evaluation.settings import resolved, settings
from robust_tf.flags.declare import parse
from robust_tf.records.evaluation import Attacks
from robust_tf.records.record import read, write
from robust_tf.records.summary import Layer, Summary
from robust_tf.records.sweep import Sweep
from robust_tf.refusal import Refusal
from robust_tf.sweep.config import SweepConfig
from robust_tf.sweep.plan import plan
from robust_tf.sweep.sweep import show, show_dropped, show_plan, sweep, work, write_record
from robust_tf.sweep.table import grouped, table, write_csv
from robust_tf.training.config import TrainConfig
from robust_tf.training.rundir import RunDirectory

REASON = "no memory in [/job:localhost/device:CPU:0]"  # rich would take the brackets for markup
EVALUATION = ("--attacks=pgd", "--steps=10")


class Instant:
    """An engine whose jobs end at once: `failing` is what their run directories' names hold if they fail."""

    def __init__(self, failing=()):
        self.failing, self.jobs = failing, []

    def submit(self, job):
        self.jobs.append(job)
        future = concurrent.futures.Future()
        if any(name in job.run.name for name in self.failing):
            future.set_result(REASON)
        else:
            seed = int(re.search(r"seed-(\d)", job.run.name)[1]) if "seed" in job.run.name else 0
            done(job.run, robust=0.5 + 0.1 * seed, weights=100)
        future.done() or future.set_result("")
        return future


def done(run, robust, weights):
    """A finished run of invented numbers."""
    trained_as = parse(TrainConfig, [])
    RunDirectory(run).claim(trained_as)
    layer = Layer(layer="a", kernels=1000, nonzero=weights, kept=weights / 1000, rank=1, outputs=1, dead_filters=0)
    summary = Summary(
        dataset="digits", model="lenet", method="ap", kernels_total=1000, kernels_nonzero=weights, ratio=weights / 1000,
        eps=0.1, accuracies_on="invented images", num_images=9, clean_accuracy=0.9, pgd_accuracy=0.5, pgd_steps=10,
        seed=0, epochs=1, epochs_trained=2, seconds=10.0, class_names=("a", "b"), layers=(layer,),
    )  # fmt: skip
    write(run / "summary.json", summary)
    asked = settings(resolved(parse(EvaluateConfig, ["--workdir=RUN", *EVALUATION]), trained_as), Attacks)
    record = {
        **asked, "num_images": 9, "model_sha256": "0" * 64, "clean_accuracy": 0.9, "robust_accuracy": robust,
        "per_attack": {}, "per_attack_seconds": {},
    }  # fmt: skip
    write(run / "evaluation" / "a.json", Attacks(**record))
    other = Attacks(**record | {"num_images": 99, "attacks": ("square",), "robust_accuracy": 0.01})
    write(run / "evaluation" / "b.json", other)  # of another command


def planned(folder, *argv, flags=None):
    config = parse(SweepConfig, [f"--workdir={folder}", f"--evaluate={' '.join(EVALUATION)}", *argv])
    return plan(config, {"pretrain_epochs": "1", "epochs": "1", **(flags or {})})


def told():
    return Console(record=True, width=200, file=open("/dev/null", "w"), markup=False, soft_wrap=True)


def test_starts_come_first_and_every_run_once(tmp_path):
    engine, planned_ = Instant(), planned(tmp_path / "s", "--grid=method=ap,admm", "--seeds=0,1")
    assert work(planned_, engine, told()) == {}
    runs = [job.run.name for job in engine.jobs]
    assert len(runs) == len(set(runs)) == 6
    assert all("-dense-" in name for name in runs[:2])
    assert [len(job.commands) for job in engine.jobs] == [1, 1, 3, 3, 3, 3]
    assert [words[1] for words in engine.jobs[-1].commands] == [
        "robust_tf.commands.train", "robust_tf.commands.evaluate", "robust_tf.commands.export_tflite"
    ]  # fmt: skip


def test_exported_files_are_evaluated_after_the_export(tmp_path):
    flags = ["--evaluate=--mode=tflite --steps=2", "--evaluate=--mode=curve"]
    plan = planned(tmp_path / "s", *flags, flags={"method": "da"})
    commands = [words[1:-1] for words in plan.job(plan.cells[0]).commands[1:]]
    assert commands == [
        ["robust_tf.commands.evaluate", *EVALUATION],
        ["robust_tf.commands.evaluate", "--mode=curve"],
        ["robust_tf.commands.export_tflite"],
        ["robust_tf.commands.evaluate", "--mode=tflite", "--steps=2"],
    ]


def test_an_evaluation_names_other_runs_of_its_seed(tmp_path):
    """Refused until they are finished; then the command names them by their folders."""
    flags = ["--seeds=3", "--evaluate=--mode=ensemble --natural={runs}/method-natural_seed-{seed}"]
    natural = tmp_path / "s" / "runs" / "method-natural_seed-3"
    with pytest.raises(Refusal, match=f"--natural={natural}: expected a finished run"):
        planned(tmp_path / "s", *flags, flags={"method": "da"})
    RunDirectory(natural).claim(parse(TrainConfig, [f"--workdir={natural}", "--method=natural", "--seed=3"]))
    RunDirectory(natural).net_path.touch()
    (tmp_path / "s" / "sweep.json").touch()
    plan = planned(tmp_path / "s", *flags, flags={"method": "da"})
    assert plan.job(plan.cells[0]).commands[2][-2] == f"--natural={natural}"
    assert plan.evaluate_configs(plan.cells[0])[1].natural == str(natural)


def test_runs_that_a_later_sweep_leaves_out_are_named(tmp_path):
    console = told()
    show_dropped(planned(tmp_path), console)  # no sweep before it
    write_record(planned(tmp_path, "--grid=method=da,ap"), {})
    show_dropped(planned(tmp_path, "--grid=method=ap,admm"), console)
    assert console.export_text() == (
        "method-da_seed-0: of an earlier sweep in this folder; the table and the report leave it out\n"
    )
    (tmp_path / "sweep.json").write_text("{")
    show_dropped(planned(tmp_path), console)
    assert console.export_text() == ""


def test_a_failing_cell_costs_itself_alone(tmp_path):
    engine = Instant(failing=["method-ap_seed-1"])
    planned_ = planned(tmp_path / "s", "--grid=method=ap,admm", "--seeds=0,1,2")
    console = told()
    failures = work(planned_, engine, console)
    assert failures == {"method-ap_seed-1": REASON}
    assert f"method-ap_seed-1: failed: {REASON}" in console.export_text()

    groups = grouped(planned_, failures)
    columns, rows = table(groups)
    assert dict(zip(columns, rows[0])) == {
        "method": "ap", "runs": "2", "weights": "100", "clean": "90.00 ± 0.00 %", "robust": "60.00 ± 14.14 %",
        "seconds": "10", "bytes": "", "worst over": "pgd; linf eps 0.1, 10 steps of 0.025, 9 images", "failed": REASON,
    }  # fmt: skip
    write_csv(tmp_path / "table.csv", groups)
    with (tmp_path / "table.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert float(written[1]["robust_mean"]) == pytest.approx(0.6)
    assert float(written[1]["robust_sd"]) == pytest.approx(0.1)
    assert (written[0]["failed"], written[0]["bytes_mean"]) == (REASON, "")
    show(columns, rows, console)
    assert "robust: worst over pgd; linf eps 0.1, 10 steps of 0.025, 9 images" in console.export_text()


def test_what_is_recorded(tmp_path):
    planned_ = planned(tmp_path, "--grid=method=ap,admm", "--seeds=0,1")
    write_record(planned_, {"method-ap_seed-1": REASON})
    record = read(tmp_path / "sweep.json", Sweep)
    assert (record.seeds, record.grid, record.evaluate) == ((0, 1), ("method=ap,admm",), (" ".join(EVALUATION),))
    assert [cell.name for cell in record.cells] == [cell.name for cell in planned_.cells]
    assert [cell.failed for cell in record.cells] == ["", REASON, "", ""]
    assert record.cells[0].flags == planned_.cells[0].flags
    assert planned(tmp_path).cells  # the folder is a sweep's


def test_a_failing_start_costs_what_needs_it(tmp_path):
    engine = Instant(failing=["-dense-"])
    planned_ = planned(tmp_path / "s", "--grid=method=da,ap")
    failures = work(planned_, engine, told())
    assert failures == {"method-ap_seed-0": f"its dense start failed: {REASON}"}


def test_a_worker_that_is_lost_for_good(tmp_path):
    class Lost(Instant):
        def submit(self, job):
            future = concurrent.futures.Future()
            future.set_exception(RuntimeError("the worker died"))
            return future

    failures = work(planned(tmp_path / "s", flags={"method": "da"}), Lost(), told())
    assert failures == {"seed-0": "RuntimeError: the worker died"}


def test_the_plan_says_what_it_leaves_out(tmp_path):
    console = told()
    grid = ["--grid=method=da,ap", "--grid=projection=irregular,codebook"]
    show_plan(planned(tmp_path / "s", *grid, flags={"rho": "0.1"}), console)
    text = console.export_text()
    left_out = "method-da_seed-0: without --pretrain_epochs, --rho, --projection, which do not apply to it"
    assert left_out in text.replace("\n", " ")
    assert "method-ap_projection-codebook_seed-0: failed: --projection=codebook: expected --method=admm" in text


@pytest.mark.parametrize(
    ("argv", "flags", "said"),
    [
        (["--evaluate=--workdir=x"], {}, "each run has its own"),
        (["--evaluate=--eps=2"], {}, "--eps"),
        (["--export=--formats=x"], {}, "got 'x'"),
        (["--evaluate=--data_dir=x"], {}, "--data_dir=x: expected one of the data sets mnist|.* with it; got digits"),
        (["--export=--data_dir=x"], {}, "--data_dir=x: expected one of the data sets mnist|.* with it; got digits"),
        ([], {"dataset": "folder", "data_dir": "absent"}, "absent"),
        ([], {"dry_run": "true"}, "--dry_run: expected bin/train --dry_run"),
        ([], {"seed": "3"}, "--seed: expected --seeds=0,1,... instead; got --seed=3"),
        ([], {"init_from": "absent"}, "--init_from=.*absent: expected a finished run"),
        (["--evaluate=--mode=transfer --targets=absent"], {}, "--evaluate=.*--targets=absent: expected a finished run"),
    ],
)
def test_what_no_run_could_be_done_with(tmp_path, argv, flags, said):
    with pytest.raises(Refusal, match=said):
        planned(tmp_path / "s", *argv, flags=flags)
    assert not (tmp_path / "s").exists()


def test_one_sweep_at_a_time(tmp_path):
    with RunDirectory(tmp_path).locked(), pytest.raises(Refusal, match="expected an exclusive lock on it"):
        sweep(planned(tmp_path))


def test_foreign_folders_are_left_alone(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(Refusal, match="got foreign files"):
        planned(tmp_path)


@pytest.mark.slow
def test_the_whole_way(tmp_path):
    """Two methods from one start, a cell that fails (a batch larger than the data), and nothing done twice."""
    flags = ["--width=0.2", "--pretrain_epochs=1", "--epochs=1", "--steps=1", "--ratio=0.5"]
    flags += [
        f"--workdir={tmp_path / 's'}",
        "--grid=method=ap,admm",
        "--grid=batch_size=128,99999",
        "--jobs=2",
        "--export=--formats=float32",
    ]
    flags += ["--evaluate=--attacks=fgsm --num_images=50", "--evaluate=--attacks=pgd --steps=2 --num_images=50"]
    command = [sys.executable, "-m", "robust_tf.commands.sweep", *flags]
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode == 1
    assert first.stderr == "sweep: 2 jobs failed; the same command tries again\n"
    assert ": failed: train: --batch_size: expected at most the" in first.stdout
    assert "its dense start failed: train: --batch_size" in (tmp_path / "s" / "table.csv").read_text()
    html = (tmp_path / "s" / "report.html").read_text()
    assert "method-admm_batch_size-128_seed-0" in html
    for method in ("ap", "admm"):
        run = tmp_path / "s" / "runs" / f"method-{method}_batch_size-128_seed-0"
        assert len(list((run / "evaluation").glob("*.json"))) == 2
        assert json.loads((run / "export" / "manifest.json").read_text())["files"]
    nets = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tflite")}
    assert subprocess.run(command, capture_output=True, text=True).returncode == 1
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tflite")} == nets
