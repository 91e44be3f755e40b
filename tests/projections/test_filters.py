"""Whole filters: channel and redundant pruning on cases that one can see through."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_tf.projections.channel import channel
from robust_tf.projections.redundant import apart, distances, originality, redundant

weights = st.lists(st.floats(-2, 2, width=32, allow_subnormal=False), min_size=6, max_size=6)


def two_layers(values):
    """Two filters of two inputs, and a classifier of two weights."""
    return [tf.reshape(tf.constant(values[:4]), (2, 2)), tf.reshape(tf.constant(values[4:]), (2, 1))]


@settings(deadline=None)
@given(values=weights, k=st.sampled_from([4, 6]))
def test_channel_is_the_nearest_point(values, k):
    """Over all choices of whole filters of the first layer, at least one of them."""
    W = two_layers(values)
    kept = [s for s in itertools.product([0, 1], repeat=2) if any(s) and 2 * sum(s) + 2 <= k]
    nearest = min(np.sum((W[0].numpy() * (1 - np.array(s))) ** 2) for s in kept)
    Z = channel(W, k)
    assert np.sum((Z[0] - W[0]) ** 2) == pytest.approx(nearest, abs=1e-6)
    np.testing.assert_array_equal(Z[1], W[1])


@pytest.mark.parametrize("project", [channel, redundant])
def test_single_weights_go_where_filters_alone_cannot_reach_k(project):
    """N = 600, a classifier of 100: k = 50 drops filters to 600 (50 / 600)^(1/4) = 322 weights, then single weights."""
    rng = np.random.default_rng(0)
    W = [tf.constant(rng.normal(size=(10, 50)), tf.float32), tf.constant(rng.normal(size=(50, 2)), tf.float32)]
    Z = [z.numpy() for z in project(W, 50)]
    assert sum(np.count_nonzero(z) for z in Z) == 50
    assert np.count_nonzero(Z[0].any(axis=0)) <= 22
    assert np.count_nonzero(Z[1]) > 0
    kept = np.abs(np.concatenate([z[z != 0] for z in Z]))
    survivors = np.concatenate([np.abs(W[0].numpy()[:, Z[0].any(axis=0)]).ravel(), np.abs(W[1]).ravel()])
    assert kept.min() >= np.sort(survivors)[-50]


@pytest.mark.parametrize("project", [channel, redundant])
def test_every_layer_keeps_a_filter_and_the_classifier_all(project):
    W = [tf.constant([[1e-3, 1e-3], [1e-3, 2e-3]]), tf.ones((2, 2)), tf.ones((2, 3))]
    Z = project(W, 10)
    assert np.count_nonzero(np.any(Z[0], axis=0)) == 1
    assert np.count_nonzero(np.any(Z[1], axis=0)) == 1
    np.testing.assert_array_equal(Z[2], W[2])


def test_distances_are_relative_to_the_larger_norm():
    columns = np.array([[1.0, 2.0, -1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(distances(columns)[0], [0, 0.5, 2, 1])
    assert distances(columns)[3, 3] == 0


def test_of_near_filters_the_larger_stays_and_of_equal_ones_the_first():
    W = np.array([[1.0, 1.1, 0.0, 0.0, 5.0], [0.0, 0.0, 1.0, 1.0, 5.0]], np.float32)
    np.testing.assert_array_equal(apart(W, 0.2).any(axis=0), [False, True, True, False, True])
    np.testing.assert_array_equal(apart(W, 0.0), W)
    np.testing.assert_array_equal(apart(W, 1e-9).any(axis=0), [True, True, True, False, True])


@settings(deadline=None)
@given(values=st.lists(st.integers(-3, 3), min_size=12, max_size=12), phi=st.sampled_from([0.1, 0.5, 1.0, 1.9]))
def test_what_stays_is_phi_apart(values, phi):
    W = np.reshape(np.array(values, np.float32), (2, 6))
    Z = apart(W, phi)
    alive = Z.any(axis=0)
    np.testing.assert_array_equal(Z[:, alive], W[:, alive])
    assert alive.any() == W.any()
    if not alive.any():
        return
    between = distances(Z[:, alive])
    assert (between[~np.eye(len(between), dtype=bool)] >= phi - 1e-6).all()


@settings(deadline=None)
@given(values=st.lists(st.integers(-3, 3), min_size=16, max_size=16), k=st.integers(4, 16))
def test_redundant_with_phi_is_idempotent(values, k):
    W = [
        tf.reshape(tf.constant(values[:12], tf.float32), (2, 6)),
        tf.reshape(tf.constant(values[12:], tf.float32), (2, 2)),
    ]
    Z = redundant(W, k, phi=0.5)
    assert sum(np.count_nonzero(z) for z in Z) <= k
    for z, again in zip(Z, redundant(Z, k, phi=0.5)):
        np.testing.assert_array_equal(again, z)


def test_layers_lose_filters_in_equal_shares():
    """Filters of 2 and of 300 inputs, where the second layer's distances are larger."""
    rng = np.random.default_rng(0)
    W = [tf.constant(rng.normal(size=size), tf.float32) for size in ((2, 20), (300, 20), (20, 3))]
    assert distances(W[0].numpy()).mean() < distances(W[1].numpy()).mean()
    Z = redundant(W, 6040 // 2 + 60)
    alive = [int(z.numpy().any(axis=0).sum()) for z in Z]
    assert abs(alive[0] - alive[1]) <= 1
    assert alive[2] == 3


def test_originality_ranks_the_filters_that_are_left():
    """Three filters on a line, whose ends are 1.15 and 1.06 from the others, the middle 0.80; and zeros."""
    columns = np.array([[0.0, 1, 1, 0, 1], [0, 0, 0.5, 0, 1]])
    np.testing.assert_allclose(originality(columns), [0, 2 / 3, 0, 0, 1 / 3])
    np.testing.assert_array_equal(originality(np.zeros((2, 3))), 0)
    np.testing.assert_allclose(originality(np.ones((2, 4))), [0.75, 0.5, 0.25, 0])  # of equal ones the first


def test_the_typical_filter_goes_first():
    """Three filters on a line: the middle one is nearest to the others."""
    W = [tf.constant([[1.0, 1.0, 1.0], [0.0, 0.5, 1.0]]), tf.ones((3, 1))]
    np.testing.assert_array_equal(np.any(redundant(W, 7)[0], axis=0), [True, False, True])
