"""The funnel: its chain of fractions, its budget, and brute force over all numbers of weights."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_tf.projections.funnel import funnel, layers, shares, tightest


def falls(m, d, delta):
    r = np.array(m) / np.array(d)
    return (r[:-1] - r[1:] >= delta - 1e-9).all()


def lost(squares, m):
    return sum(s[n:].sum() for s, n in zip(squares, m))


@settings(deadline=None)
@given(
    d=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    share=st.floats(0, 1),
    delta=st.sampled_from([0.01, 0.1, 0.3]),
    seed=st.integers(0, 99),
)
def test_shares_against_brute_force(d, share, delta, seed):
    """Feasible exactly where brute force finds something; never better than it; no weight is left that would fit."""
    rng = np.random.default_rng(seed)
    squares = [np.sort(rng.exponential(size=size))[::-1] for size in d]
    budget = round(share * sum(d))
    every = [
        m for m in itertools.product(*(range(1, size + 1) for size in d)) if sum(m) <= budget and falls(m, d, delta)
    ]
    if not every:
        with pytest.raises(ValueError, match=r"expected (k >=|delta <=)"):
            shares(squares, budget, delta)
        return
    m = shares(squares, budget, delta)
    assert tuple(m) in every
    assert lost(squares, m) >= min(lost(squares, one) for one in every) - 1e-9
    for i in range(len(d)):
        more = [n + (i == j) for j, n in enumerate(m)]
        assert tuple(more) not in every


def chains(d, delta):
    """All numbers of weights that fall by delta from layer to layer, [chains, layers]."""
    every = itertools.product(*(range(1, size + 1) for size in d))
    return np.array([m for m in every if falls(m, d, delta)])


@pytest.mark.parametrize("multiplier", [0.05, 0.3, 1.0, 3.0])
def test_shares_are_exact_for_budgets_that_a_multiplier_meets(multiplier):
    """argmin of loss + multiplier * sum m_l by brute force meets the budget sum m_l. The first layer has the smallest
    weights, the second the largest: one by one, the largest that the chain allows, they would not be the best."""
    rng, delta = np.random.default_rng(0), 0.05
    for _ in range(10):
        d = rng.integers(4, 9, size=3)
        squares = [np.sort(rng.exponential(scale, size))[::-1] for scale, size in zip((0.1, 30, 3), d)]
        every = chains(d, delta)
        losses = np.array([lost(squares, m) for m in every])
        best = np.argmin(losses + multiplier * every.sum(1))
        found = shares(squares, int(every[best].sum()), delta)
        assert lost(squares, found) == pytest.approx(losses[best])


def test_shares_are_mostly_the_best():
    """The multiplier reaches most budgets, and the greedy rest seldom errs: nine of ten random cases are exact."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(60):
        d = rng.integers(4, 9, size=3)
        squares = [np.sort(rng.exponential(size=size))[::-1] for size in d]
        budget, delta = int(0.6 * d.sum()), 0.05
        every = itertools.product(*(range(1, size + 1) for size in d))
        best = min(lost(squares, m) for m in every if sum(m) <= budget and falls(m, d, delta))
        wrong += lost(squares, shares(squares, budget, delta)) > best + 1e-9
    assert wrong <= 6


@pytest.mark.parametrize("ratio", [0.003, 0.01, 0.1, 0.5])
def test_lenet(ratio):
    rng = np.random.default_rng(0)
    shapes = ((5, 5, 1, 20), (5, 5, 20, 50), (800, 500), (500, 10))
    W = [tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes]
    d = [500, 25000, 400000, 5000]
    k = round(ratio * sum(d))
    m = [np.count_nonzero(z) for z in funnel(W, k)]
    assert sum(m) == k
    assert falls(m, d, k / sum(d) / 8)
    for w, z, n in zip(W, funnel(W, k), m):  # the largest stay
        assert np.abs(z.numpy()[z != 0]).min() == np.sort(np.abs(w).ravel())[-n]


def test_dense_and_exempt():
    W = [tf.constant([[3.0, 1.0, 2.0, 4.0]]), tf.constant([[0.1, 0.2]]), tf.constant([[5.0, 6.0, 7.0, 8.0]])]
    for w, z in zip(W, funnel(W, 10)):
        np.testing.assert_array_equal(z, w)
    Z = funnel(W, 7, exempt=(1,))
    np.testing.assert_array_equal(Z[1], W[1])
    assert np.count_nonzero(Z[0]) == 3
    assert np.count_nonzero(Z[2]) == 2


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match=r"expected k >= 4, the least for fractions that decrease by 0.5; got 3"):
        shares([np.ones(4), np.ones(4)], 3, 0.5)
    with pytest.raises(ValueError, match="expected delta <= 1 / 2, for 3 fractions"):
        shares([np.ones(4)] * 3, 12, 0.6)


def test_the_tightest_chain():
    np.testing.assert_array_equal(tightest(np.array([4, 4]), 0.5), [3, 1])
    np.testing.assert_array_equal(tightest(np.array([10, 10, 10]), 0.1), [3, 2, 1])


def test_pooled_kernels_are_one_layer():
    """At the place of the last; the largest of both together stay."""
    rng = np.random.default_rng(0)
    W = [tf.constant(rng.normal(size=size), tf.float32) for size in (12, 20, 8, 10)]
    Z = funnel(W, 25, delta=0.1, pooled=((0, 2),))
    kept = [np.count_nonzero(z) for z in Z]
    assert sum(kept) == 25
    assert kept[1] / 20 - 0.1 >= (kept[0] + kept[2]) / 20 >= kept[3] / 10 + 0.1
    w, z = (np.abs(np.concatenate([each[0], each[2]])) for each in (W, Z))
    assert w[z > 0].min() > w[z == 0].max()


def test_a_chain_without_what_is_exempt():
    assert layers(6, (1, 4), ((0, 2), (3, 4))) == [(0, 2), (3,), (5,)]
