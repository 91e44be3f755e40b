"""Repetitions: grouped where they differ in the seed alone and were evaluated alike."""

from pathlib import Path

import pytest

from robust_tf.config import TrainConfig, parse
from robust_tf.report.figures import Missing
from robust_tf.report.runs import Run
from robust_tf.report.seeds import seeds
from robust_tf.rundir import as_json


def run(robust, *flags, images=9):
    record = {"mode": "attacks", "attacks": ["pgd"], "norm": "linf", "eps": 0.1, "num_images": images}
    return Run(
        "name",
        Path(),
        config=as_json(parse(TrainConfig, flags)),
        summary={"kernels_nonzero": 100},
        evaluations=[{**record, "clean_accuracy": 0.9, "robust_accuracy": robust}],
    )


def test_mean_and_spread():
    ap = [run(robust, "--method=ap", f"--seed={i}", f"--init_from=start{i}") for i, robust in enumerate((0.4, 0.6))]
    admm = [run(0.7, "--method=admm", "--rho=0.1")]
    elsewhere = [run(0.1, "--method=ap", "--seed=2", images=5)]
    figure = seeds([*ap, *admm, *elsewhere])
    rows = [dict(zip(figure.columns, row)) for row in figure.rows]
    assert [row["runs"] for row in rows] == ["2", "1", "1"]
    assert rows[0]["robust"] == "50.00 ± 14.14 %"
    assert rows[0]["clean"] == "90.00 ± 0.00 %"
    assert rows[1]["robust"] == "70.00 %"
    assert [row["what"] for row in rows] == ["method=ap", "method=admm", "method=ap"]


@pytest.mark.parametrize("runs", [[], [run(0.5)], [run(0.5), run(0.4, "--method=ap")]])
def test_nothing_repeated(runs):
    assert isinstance(seeds(runs), Missing)
