"""Low rank against the singular value decomposition itself."""

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.projections.low_rank import factors, low_rank, ranks


def random_kernels(seed=0):
    rng = np.random.default_rng(seed)
    return [tf.constant(rng.normal(size=shape), tf.float32) for shape in ((3, 3, 4, 8), (20, 10))]


def test_the_loss_is_the_dropped_singular_values():
    W = random_kernels()
    Z = low_rank(W, 300)
    for w, z, rank in zip(W, Z, ranks(W, 300)):
        spectrum = np.linalg.svd(np.reshape(w, (-1, w.shape[-1])), compute_uv=False)
        assert np.sum((w - z) ** 2) == pytest.approx(np.sum(spectrum[rank:] ** 2), rel=1e-4)
        assert np.linalg.matrix_rank(np.reshape(z, (-1, z.shape[-1])), tol=1e-4) == rank


def test_the_largest_singular_values_of_all_layers_stay():
    W = random_kernels()
    kept, dropped = [], []
    for w, rank in zip(W, ranks(W, 300)):
        spectrum = np.linalg.svd(np.reshape(w, (-1, w.shape[-1])), compute_uv=False)
        kept.append(spectrum[rank - 1])
        dropped.append(spectrum[rank])
    assert min(kept) >= max(dropped)


def test_the_budget_is_spent_to_the_next_rank():
    W = random_kernels()  # rank r costs 44 r and 30 r
    first, second = ranks(W, 300)
    assert 300 - 44 < 44 * first + 30 * second <= 300


def test_layers_that_factors_would_enlarge_stay_whole():
    W = random_kernels()
    assert ranks(W, 488) == [None, None]
    assert ranks([*W, tf.ones((3, 1))], 78) == [1, 1, None]
    np.testing.assert_allclose(low_rank(W, 488)[1], W[1])


def test_exempt_kernels_stay_whole_and_count():
    W = [*random_kernels(), tf.ones((3, 3, 1, 6))]
    assert ranks(W, 74 + 54, exempt=(2,)) == [1, 1, None]
    with pytest.raises(ValueError, match="expected k >= 128, the weights at rank 1 in every layer; got 127"):
        ranks(W, 127, exempt=(2,))


def test_factors_multiply_to_the_kernel():
    (w, _) = random_kernels()
    left, right = factors(w, 8)
    np.testing.assert_allclose((left @ right).reshape(w.shape), w, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(left, axis=0), np.linalg.norm(right, axis=1), rtol=1e-4)
