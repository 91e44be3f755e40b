"""The 95 % interval of an accuracy: against SciPy's, its coverage by counting, and what a record's intervals are."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from robust_tf.records.evaluation import Attacks, Curve, CurvePoint
from robust_tf.records.interval import half_width, interval, intervals


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (0, 7), (3, 7), (433, 500), (500, 500), (9876, 10_000)])
def test_it_is_scipys(hits, count):
    expected = binomtest(hits, count).proportion_ci(0.95, "exact")
    np.testing.assert_allclose(interval(hits / count, count), (expected.low, expected.high), atol=1e-9)


@pytest.mark.parametrize("truth", [0.01, 0.3, 0.5, 0.872])
def test_it_holds_the_truth_in_95_percent_of_all_samples(truth):
    count = 60
    ends = [interval(k / count, count) for k in range(count + 1)]
    held = sum(binom.pmf(k, count, truth) for k, (low, high) in enumerate(ends) if low <= truth <= high)
    assert 0.95 <= held <= 1


def test_500_images_are_three_points():
    assert half_width(0.872, 500) == pytest.approx(0.03, abs=0.001)
    assert half_width(0.872, 4 * 500) == pytest.approx(0.015, abs=0.001)


def test_all_accuracies_of_a_record_have_one():
    common = {"norm": "linf", "seed": 0, "num_images": 40, "model_sha256": "", "seconds": 1.0}
    record = Attacks(
        mode="attacks", attacks=("pgd",), eps=0.1, clean_accuracy=0.9, robust_accuracy=0.5, certified_accuracy=0.25,
        per_attack={"pgd": 0.6}, per_attack_seconds={"pgd": 0.5}, **common,
    )  # fmt: skip
    shares = {"clean_accuracy": 0.9, "robust_accuracy": 0.5, "certified_accuracy": 0.25, "per_attack.pgd": 0.6}
    assert intervals(record) == {name: interval(share, 40) for name, share in shares.items()}
    curve = Curve(
        mode="curve", clean_accuracy=1.0, radii=(0.1,), steps=1, restarts=1, chance=0.1,
        curve=(CurvePoint(eps=0.1, accuracy=0.0),), **common,
    )  # fmt: skip
    assert intervals(curve) == {"clean_accuracy": interval(1, 40), "curve.0.accuracy": interval(0, 40)}
