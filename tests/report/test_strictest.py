"""Which evaluation a run's robust accuracy is taken from."""

import dataclasses

import pytest

from robust_tf.report.runs import read_run
from robust_tf.report.strictest import strictest


@pytest.fixture
def run(robust):
    return read_run("robust", robust)


def of(run, attack, steps=None):
    """(stem, record) of the evaluation with this attack first, of so many steps."""
    ((stem, record),) = [
        (stem, record)
        for stem, record in run.evaluations.items()
        if record.mode == "attacks" and (record.attacks[0], record.steps) == (attack, steps)
    ]
    return stem, record


def test_autoattack_on_fewer_images_comes_before_a_weaker_pgd_on_more(run):
    stem, auto = of(run, "autoattack")
    weak_stem, weak = of(run, "pgd", steps=1)
    assert auto.num_images < weak.num_images
    assert auto.robust_accuracy < weak.robust_accuracy
    run.evaluations = {weak_stem: weak, stem: auto}
    assert strictest(run) is auto


def test_the_least_of_all_counts(run):
    records = run.records("attacks")
    assert len(records) == 3
    assert strictest(run).robust_accuracy == min(record.robust_accuracy for record in records)


@pytest.mark.parametrize("other", [{"eps": 0.2}, {"eps": 0.05}, {"norm": "l2"}])
def test_other_balls_do_not_count(run, other):
    _, record = of(run, "autoattack")
    expected = strictest(run)
    run.evaluations["other"] = dataclasses.replace(record, robust_accuracy=0.0, **other)
    assert strictest(run) is expected
    run.evaluations = {"other": run.evaluations["other"]}
    assert strictest(run) is None


def test_only_mode_attacks_counts(run):
    run.evaluations = {stem: record for stem, record in run.evaluations.items() if record.mode != "attacks"}
    assert any(hasattr(record, "robust_accuracy") for record in run.evaluations.values())
    assert strictest(run) is None


def test_a_run_without_configuration_has_none(run):
    run.config = None
    assert strictest(run) is None
