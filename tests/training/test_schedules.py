"""Schedules by hand, and their invariants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robust_tf.training.schedules import (
    LEARNING_RATES,
    STEPS_SCHEDULES,
    cubic_ratio,
    decayed,
    geometric,
    interpolated,
    thirds,
    value_at,
)


def test_value_at():
    sequence = ((0, 0.1), (20, 0.2), (40, 0.3))
    assert [value_at(sequence, epoch) for epoch in (0, 19, 20, 39, 40, 99)] == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]


def test_thirds():
    assert thirds(0.3, 200) == ((0, pytest.approx(0.1)), (67, pytest.approx(0.2)), (133, pytest.approx(0.3)))


@given(st.integers(1, 400))
def test_thirds_end_at_eps(epochs):
    assert value_at(thirds(0.3, epochs), epochs - 1) == pytest.approx(0.3)
    assert value_at(thirds(0.3, epochs), 0) == pytest.approx(0.3 if epochs == 1 else 0.1)


def test_decayed():
    assert decayed(0.05, 25) == ((0, 0.05), (10, pytest.approx(0.04)), (20, pytest.approx(0.032)))
    assert decayed(0.05, 0) == ((0, 0.05),)


@given(st.floats(0.001, 1), st.lists(st.floats(0, 1), min_size=2))
def test_the_kept_fraction_falls_from_one_to_ratio(ratio, progress):
    assert cubic_ratio(0.1, ratio) == pytest.approx(1)
    assert cubic_ratio(0.6, ratio) == cubic_ratio(1.0, ratio) == pytest.approx(ratio)
    values = [cubic_ratio(p, ratio) for p in sorted(progress)]
    assert values == sorted(values, reverse=True)


def test_geometric():
    assert geometric(0.0, 1e-3, 1.0) == pytest.approx(1e-3)
    assert geometric(0.5, 1e-4, 1.0) == pytest.approx(1e-2)
    assert geometric(1.0, 1e-3, 2.0) == pytest.approx(2)


def test_one_cycle_rises_and_falls_on_lines():
    cycle = LEARNING_RATES["one_cycle"].pairs("dense", 20, 0.2)
    rates = [interpolated(cycle, epoch) for epoch in (0, 3, 6, 13, 20, 25)]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.1, 0, 0])


def test_the_papers_plans():
    atmc = LEARNING_RATES["atmc"].pairs("dense", 150, 9.0)
    assert [value_at(atmc, epoch) for epoch in (0, 29, 30, 60, 149)] == pytest.approx([5e-3, 5e-3, 5e-4, 5e-5, 5e-7])
    assert [start for start, _ in LEARNING_RATES["atmc_plan_1"].pairs("dense", 200, 9.0)] == [0, 40, 80, 120, 160]
    assert LEARNING_RATES["atmc_plan_3"].pairs("dense", 150, 9.0) == atmc
    code = LEARNING_RATES["atmc_code"].pairs
    firsts = {
        stage: code(stage, 200, 9.0)[0][1] for stage in ("dense", "natural", "l0", "finetune", "atmc", "codebook")
    }
    assert firsts == {"dense": 0.05, "natural": 0.05, "l0": 0.01, "finetune": 0.01, "atmc": 0.005, "codebook": 0.005}
    drops = {"dense": [80, 120, 150], "l0": [30, 60, 90, 120], "atmc": [60, 80, 120]}
    for stage, epochs in drops.items():
        assert [start for start, _ in code(stage, 200, 9.0)] == [0, *epochs]
    thesis = LEARNING_RATES["thesis"].pairs("dense", 200, 9.0)
    assert [value_at(thesis, epoch) for epoch in (0, 10, 199)] == pytest.approx([0.05, 0.04, 0.05 * 0.8**19])


def test_the_thesis_steps_grow_within_each_third():
    steps = STEPS_SCHEDULES["thesis"](18)
    assert [value_at(steps, epoch) for epoch in range(18)] == [7, 7, 14, 14, 21, 21] * 3


def test_interpolated():
    sequence = ((0, 0.0), (4, 0.4), (6, 0.4))
    assert [interpolated(sequence, epoch) for epoch in (0, 1, 3.5, 4, 5, 9)] == pytest.approx(
        [0, 0.1, 0.35, 0.4, 0.4, 0.4]
    )
