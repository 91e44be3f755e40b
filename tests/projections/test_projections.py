"""Every projection: the contract, and the nearest point by brute force on six weights."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_tf.projections import PROJECTIONS

weights = st.lists(st.floats(-2, 2, width=32, allow_subnormal=False), min_size=6, max_size=6)
tied = st.lists(st.sampled_from([-1.0, 0.5, 1.0]), min_size=6, max_size=6)


def kernels(values):
    return [tf.reshape(tf.constant(values[:4], tf.float32), (1, 1, 2, 2)), tf.constant([values[4:]], tf.float32)]


def flat(tensors):
    return np.concatenate([np.ravel(t) for t in tensors])


@pytest.mark.parametrize("name", PROJECTIONS)
@settings(deadline=None)
@given(values=st.one_of(weights, tied), k=st.integers(0, 6))
def test_contract(name, values, k):
    project, W = PROJECTIONS[name], kernels(values)
    Z = project(W, k)
    assert [z.shape for z in Z] == [w.shape for w in W]
    assert np.count_nonzero(flat(Z)) <= k
    np.testing.assert_array_equal(flat(project(Z, k)), flat(Z))


@settings(deadline=None)
@given(values=weights, k=st.integers(0, 6))
def test_irregular_is_the_nearest_point(values, k):
    w = flat(kernels(values))
    distance = np.sum((flat(PROJECTIONS["irregular"](kernels(values), k)) - w) ** 2)
    best = min(np.sum(w[list(zeros)] ** 2) for zeros in itertools.combinations(range(6), 6 - k))
    assert distance == pytest.approx(best, abs=1e-6)


@given(values=tied, k=st.integers(0, 6))
@settings(deadline=None)
def test_irregular_keeps_exactly_k_among_ties(values, k):
    assert np.count_nonzero(flat(PROJECTIONS["irregular"](kernels(values), k))) == k


def test_irregular_in_a_graph_takes_k_as_a_tensor():
    traces = []

    @tf.function
    def project(k):
        traces.append(1)
        return PROJECTIONS["irregular"].resolve()(kernels([1.0, -3.0, 2.0, 0.5, 0.1, -4.0]), k)

    np.testing.assert_array_equal(flat(project(tf.constant(2))), [0, -3, 0, 0, 0, -4])
    np.testing.assert_array_equal(flat(project(tf.constant(3))), [0, -3, 2, 0, 0, -4])
    assert len(traces) == 1
