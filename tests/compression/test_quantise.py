"""Quantisers: every value goes to the nearest of the levels that the docstrings name."""

import numpy as np
import pytest

from robust_tf.compression.quantise import QUANTISERS, min_max, symmetric


@pytest.mark.parametrize("name", QUANTISERS)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantisers_round_to_the_nearest_of_their_levels(name, bits):
    w = np.random.default_rng(0).normal(size=(3, 3, 2, 5)).astype(np.float32)
    q = QUANTISERS[name](w, bits)
    channels = [w[..., i] for i in range(5)] if name == "symmetric" else [w]
    for values in channels:
        if name == "symmetric":
            top = np.abs(values).max()
            levels = np.linspace(-top, top, 2**bits - 1)
        else:
            levels = np.linspace(values.min(), values.max(), 2**bits)
        channel = next((i for i in range(5) if np.array_equal(w[..., i], values)), slice(None))
        rounded = q[..., channel].ravel()
        distance = np.abs(values.ravel()[:, None] - levels).min(1)
        np.testing.assert_allclose(np.abs(rounded - values.ravel()), distance, atol=1e-5)


@pytest.mark.parametrize("name", QUANTISERS)
def test_they_have_8_bits_if_nothing_is_said(name):
    w = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    np.testing.assert_array_equal(QUANTISERS[name](w), QUANTISERS[name](w, 8))


def test_quantisers_of_nothing():
    zeros = np.zeros((3, 2), np.float32)
    np.testing.assert_array_equal(symmetric(zeros), zeros)
    np.testing.assert_array_equal(min_max(zeros + 0.5), zeros + 0.5)
