"""Repetitions: grouped where they differ in the seed alone and were evaluated alike."""

import dataclasses
import statistics

import pytest

from robust_tf.drawing.figures import Missing
from robust_tf.report.seeds import seeds
from robust_tf.report.strictest import strictest


def rows_of(figure):
    return [dict(zip(figure.columns, row)) for row in figure.rows]


def numbers(cell):
    """ "mean ± standard deviation %" as two fractions."""
    mean, deviation = cell.removesuffix(" %").split(" ± ")
    return float(mean) / 100, float(deviation) / 100


def test_mean_and_spread(runs):
    robust, natural, again = runs
    of_robust, of_natural = rows_of(seeds(runs))
    assert (of_robust["runs"], of_natural["runs"]) == ("1", "2")
    assert of_robust["robust"] == f"{100 * strictest(robust).robust_accuracy:.2f} %"
    for name in ("clean", "robust"):
        values = [getattr(strictest(run), f"{name}_accuracy") for run in (natural, again)]
        assert numbers(of_natural[name]) == pytest.approx(
            (statistics.fmean(values), statistics.stdev(values)), abs=5.1e-5
        )
    assert of_natural["weights"] == f"{natural.summary.kernels_total:,}"
    assert "method=natural" in of_natural["what"]
    assert "method=admm" in of_robust["what"]
    assert "seed" not in of_natural["what"]


def test_runs_that_were_evaluated_otherwise_are_no_repetitions(runs):
    _, natural, again = runs
    again.evaluations = {
        stem: dataclasses.replace(record, num_images=record.num_images - 1)
        for stem, record in again.evaluations.items()
    }
    assert isinstance(seeds([natural, again]), Missing)


def test_other_flags_make_no_repetitions(runs):
    _, natural, again = runs
    again.config = dataclasses.replace(again.config, epochs=again.config.epochs + 1)
    assert isinstance(seeds([natural, again]), Missing)


@pytest.mark.parametrize("chosen", [(), (0,), (0, 1)])
def test_nothing_repeated(runs, chosen):
    assert isinstance(seeds([runs[number] for number in chosen]), Missing)


def test_runs_without_configurations_are_no_repetitions(runs):
    for run in runs:
        run.config = None
    assert isinstance(seeds(runs), Missing)
