"""Low rank against the singular value decomposition itself, and the ranks against all choices there are."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_tf.projections import RANK_RULES
from robust_tf.projections import low_rank as module
from robust_tf.projections.low_rank import factors, low_rank, ranks


def random_kernels(seed=0, shapes=((3, 3, 4, 8), (20, 10))):
    rng = np.random.default_rng(seed)
    return [tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes]


def matrices(kernels):
    return [np.reshape(w, (-1, w.shape[-1])).astype(float) for w in kernels]


def cost(W, chosen):
    """Weights of layers with these ranks; None: whole."""
    return sum(w.size if rank is None else rank * sum(w.shape) for w, rank in zip(matrices(W), chosen))


def errors(W, chosen):
    """||W_l - Z_l||^2 of each layer."""
    spectra = [np.linalg.svd(w, compute_uv=False) for w in matrices(W)]
    return np.array([0 if rank is None else np.sum(s[rank:] ** 2) for s, rank in zip(spectra, chosen)])


def relative_error(W, chosen):
    return np.sum(errors(W, chosen) / [np.sum(w**2) for w in matrices(W)])


def all_choices(W):
    """Every list of ranks that makes layers smaller, or leaves them whole."""
    options = [
        [*(rank for rank in range(1, min(w.shape) + 1) if rank * sum(w.shape) < w.size), None] for w in matrices(W)
    ]
    return list(itertools.product(*options))


@pytest.mark.parametrize("rule", RANK_RULES)
def test_the_loss_is_the_dropped_singular_values(rule):
    W = random_kernels()
    Z, chosen = low_rank(W, 300, rule), ranks(W, 300, rule)
    assert sum(np.sum((w - z) ** 2) for w, z in zip(W, Z)) == pytest.approx(errors(W, chosen).sum(), rel=1e-4)
    for z, rank in zip(matrices(Z), chosen):
        assert np.linalg.matrix_rank(z, tol=1e-4) == (rank or min(z.shape))


@given(st.integers(0, 10**6), st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_relative_has_the_least_error_of_all_choices(seed, spare):
    W = random_kernels(seed, ((2, 2, 3, 5), (9, 7), (6, 6), (8, 3)))
    W = [w * factor for w, factor in zip(W, np.random.default_rng(seed).uniform(0.2, 3, 4))]
    k = min(cost(W, choice) for choice in all_choices(W)) + spare
    chosen = ranks(W, k)
    assert cost(W, chosen) <= k
    best = min(relative_error(W, choice) for choice in all_choices(W) if cost(W, choice) <= k)
    assert relative_error(W, chosen) == pytest.approx(best, rel=1e-5, abs=1e-5)


@given(st.integers(0, 10**6), st.integers(0, 400))
@settings(max_examples=40, deadline=None)
def test_coarse_units_keep_within_the_budget_and_spend_it(seed, spare):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RESOLUTION", 7)
        W = random_kernels(seed, ((2, 2, 3, 5), (9, 7), (6, 6), (8, 3)))
        k = min(cost(W, choice) for choice in all_choices(W)) + spare
        chosen = ranks(W, k)
    assert cost(W, chosen) <= k
    for i, rank in enumerate(chosen):
        more = [*chosen]
        if rank is not None:
            more[i] = rank + 1 if (*chosen[:i], rank + 1, *chosen[i + 1 :]) in all_choices(W) else None
            assert cost(W, more) > k, "a rank more would fit"


def test_largest_keeps_the_largest_singular_values_of_all_layers():
    W = random_kernels()
    kept, dropped = [], []
    for w, rank in zip(matrices(W), ranks(W, 300, "largest")):
        spectrum = np.linalg.svd(w, compute_uv=False)
        kept.append(spectrum[rank - 1])
        dropped.append(spectrum[rank])
    assert min(kept) >= max(dropped)


def test_largest_ends_at_the_first_value_that_does_not_fit_and_relative_does_not():
    """A large layer has the next value, and costs more than is left; the small one has room for more."""
    large, small = np.zeros((60, 60)), np.zeros((5, 5))
    np.fill_diagonal(large, [9, 8, *[1] * 58])
    np.fill_diagonal(small, [7, 6, 5, 4, 3])
    W, k = [tf.constant(large, tf.float32), tf.constant(small, tf.float32)], 120 + 25
    assert ranks(W, k, "largest") == [1, 1]
    assert ranks(W, k, "relative") == [1, None]


def test_the_scale_of_a_kernel_does_not_matter_to_relative():
    W = random_kernels()
    assert ranks(W, 300) == ranks([100 * W[0], W[1]], 300) == ranks([W[0], 100 * W[1]], 300)


def test_lenet_at_one_percent_spends_its_budget():
    """What is left is less than a rank more of any layer takes."""
    W = random_kernels(0, ((5, 5, 1, 20), (5, 5, 20, 50), (800, 500), (500, 10)))
    assert ranks(W, 2405) == [1, 1, 1, 1]
    found = ranks(W, 4305)
    left = 4305 - cost(W, found)
    assert 0 <= left < 510
    assert found[0] is None or left < 45


@pytest.mark.parametrize("rule", RANK_RULES)
def test_layers_that_factors_would_enlarge_stay_whole(rule):
    W = random_kernels()
    assert ranks(W, 488, rule) == [None, None]
    assert ranks([*W, tf.ones((3, 1))], 78, rule) == [1, 1, None]
    np.testing.assert_allclose(low_rank(W, 488, rule)[1], W[1])


@pytest.mark.parametrize("rule", RANK_RULES)
def test_exempt_kernels_stay_whole_and_count(rule):
    W = [*random_kernels(), tf.ones((3, 3, 1, 6))]
    assert ranks(W, 74 + 54, rule, exempt=(2,)) == [1, 1, None]
    with pytest.raises(ValueError, match="expected k >= 128, the weights at rank 1 in every layer; got 127"):
        ranks(W, 127, rule, exempt=(2,))


def test_factors_multiply_to_the_kernel():
    (w, _) = random_kernels()
    left, right = factors(w, 8)
    np.testing.assert_allclose((left @ right).reshape(w.shape), w, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(left, axis=0), np.linalg.norm(right, axis=1), rtol=1e-4)
