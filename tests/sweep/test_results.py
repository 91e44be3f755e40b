"""results.csv and epochs.csv of a sweep, from real runs."""

import csv
import dataclasses

import pytest

from robust_tf.evaluation import MODES
from robust_tf.flags.declare import parse
from robust_tf.report.runs import read_run
from robust_tf.sweep.config import SweepConfig
from robust_tf.sweep.grid import Cell
from robust_tf.sweep.plan import plan
from robust_tf.sweep.results import numbers, settings, write_results


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def swept(shared_runs, tmp_path):
    """A plan whose one cell is the robust run, with its attack of 5 steps as the sweep's evaluation."""
    robust = read_run("robust", shared_runs / "robust")
    (record, *_) = robust.records("attacks")
    names = {name: text for name, text in (pair.split("=") for pair in settings(record).split())}
    evaluate = " ".join(f"--{name}={text}" for name, text in names.items() if name != "norm")
    flags = {"method": "admm", "eps": "0.1"}
    config = parse(SweepConfig, [f"--workdir={tmp_path}", "--grid=ratio=0.2", f"--evaluate={evaluate}"])
    planned = plan(config, flags)
    planned.runs.mkdir()
    (planned.runs / planned.cells[0].name).symlink_to(shared_runs / "robust")
    return planned, robust, record


def test_every_number_has_its_row(swept, tmp_path):
    planned, robust, record = swept
    write_results(tmp_path, planned, {})
    found = rows(tmp_path / "results.csv")
    assert {(row["ratio"], row["method"], row["seed"]) for row in found} == {("0.2", "admm", "0")}
    values = {(row["record"], row["settings"], row["quantity"]): float(row["value"]) for row in found}
    assert len(values) == len(found)
    assert values["summary", "", "kernels_nonzero"] == robust.summary.kernels_nonzero
    assert values["attacks", settings(record), "robust_accuracy"] == record.robust_accuracy
    assert values["attacks", settings(record), "seconds"] == record.seconds
    for attack, accuracy in record.per_attack.items():
        assert values["attacks", settings(record), f"per_attack.{attack}"] == accuracy
    epochs = rows(tmp_path / "epochs.csv")
    assert [(int(row["epoch"]), row["stage"], float(row["loss"])) for row in epochs] == [
        (row.epoch, row.stage, row.loss) for row in robust.history
    ]
    write_results(tmp_path, planned, {planned.cells[0].name: "failed"})
    assert rows(tmp_path / "results.csv") == rows(tmp_path / "epochs.csv") == []


def test_dense_starts_are_listed_with_all_their_evaluations(swept, shared_runs, tmp_path):
    planned, _, _ = swept
    start = Cell("digits-dense-seed-0", {"method": "da", "seed": "0"})
    absent = Cell("digits-dense-seed-1", {"method": "da", "seed": "1"})
    (planned.runs / start.name).symlink_to(shared_runs / "natural")
    write_results(tmp_path, dataclasses.replace(planned, starts=[start, absent]), {planned.cells[0].name: "failed"})
    found = rows(tmp_path / "results.csv")
    assert {(row["ratio"], row["method"], row["seed"]) for row in found} == {("", "da", "0")}
    records = read_run("natural", shared_runs / "natural").evaluations.values()
    assert {row["record"] for row in found} == {"summary", *(record.mode for record in records)}


@pytest.mark.parametrize("mode", MODES)
def test_records_of_every_mode_have_settings_and_numbers(shared_runs, mode):
    (record, *_) = read_run("robust", shared_runs / "robust").records(mode)
    found = dict(numbers(record))
    assert found["clean_accuracy"] == record.clean_accuracy
    assert all(isinstance(value, int | float) for value in found.values())
    assert f"num_images={record.num_images}" in settings(record)
    assert f"seed={record.seed}" in settings(record)
    assert not set(found) & {"eps", "steps", "seed", "num_images"}


def test_short_lists_are_numbered_and_long_ones_left_out(shared_runs):
    (record, *_) = read_run("robust", shared_runs / "robust").records("transfer")
    found = dict(numbers(record))
    for name, accuracies in record.matrix.items():
        assert [found[f"matrix.{name}.{i}"] for i in range(len(accuracies))] == list(accuracies)
    long = dataclasses.replace(record, matrix={"itself": (0.5,) * 33})
    assert set(found) - set(dict(numbers(long))) == {name for name in found if name.startswith("matrix.")}
