"""Every projection: the contract, and the nearest point by brute force on six weights where it is exact."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_tf.projections import PROJECTIONS
from robust_tf.projections.blocks import block, grouped, n_of_m, ungrouped
from robust_tf.projections.codebook import codebook
from robust_tf.projections.irregular import irregular, top
from robust_tf.projections.per_layer import per_layer, proportional

weights = st.lists(st.floats(-2, 2, width=32, allow_subnormal=False), min_size=6, max_size=6)
tied = st.lists(st.sampled_from([-1.0, 0.5, 1.0]), min_size=6, max_size=6)
either = st.one_of(weights, tied)


def kernels(values):
    """A convolution of four weights and a dense layer of two."""
    return [tf.reshape(tf.constant(values[:4], tf.float32), (1, 2, 2, 1)), tf.constant([values[4:]], tf.float32)]


def flat(tensors):
    return np.concatenate([np.ravel(t) for t in tensors])


def distance(Z, W):
    return np.sum((flat(Z).astype(float) - flat(W)) ** 2)


def nearest(W, allowed):
    """min ||W - Z||^2 over all supports that are `allowed`."""
    w = flat(W).astype(float)
    supports = (np.array(s) for s in itertools.product([0, 1], repeat=6))
    return min(np.sum((w * (1 - s)) ** 2) for s in supports if allowed(s))


@pytest.mark.parametrize("name", PROJECTIONS)
@settings(deadline=None)
@given(values=either, k=st.integers(0, 6))
def test_contract(name, values, k):
    """At most k non-zeros, shapes kept, and what is projected is not moved again; or a ValueError that names k."""
    project, W = PROJECTIONS[name], kernels(values)
    refusal = None
    try:
        Z = project(W, k)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert f"got {k}" in refusal
        assert name in ("per_layer", "n_of_m", "block", "funnel", "low_rank")
        return
    assert [z.shape for z in Z] == [w.shape for w in W]
    assert weights_kept(name, Z) <= k
    if name == "low_rank":  # a product of factors is rounded
        np.testing.assert_allclose(flat(project(Z, k)), flat(Z), atol=1e-5)
    else:
        np.testing.assert_array_equal(flat(project(Z, k)), flat(Z))


def weights_kept(name, Z):
    """What k counts: non-zeros; for low_rank the weights of thin factors, where they are fewer than the kernel's."""
    if name != "low_rank":
        return np.count_nonzero(flat(Z))
    matrices = [np.reshape(z, (-1, z.shape[-1])) for z in Z]
    tolerance = 1e-5 * max(1e-20, *(np.abs(m).max() for m in matrices))
    return sum(min(m.size, max(1, np.linalg.matrix_rank(m, tolerance)) * sum(m.shape)) for m in matrices)


@settings(deadline=None)
@given(values=either, k=st.integers(0, 6))
def test_irregular_is_the_nearest_point(values, k):
    W = kernels(values)
    assert distance(irregular(W, k), W) == pytest.approx(nearest(W, lambda s: s.sum() <= k), abs=1e-6)


@settings(deadline=None)
@given(values=either, k=st.integers(0, 6), scales=st.tuples(st.sampled_from([0.25, 1.0, 3.0]), st.just(0.5)))
def test_irregular_with_scales_is_the_nearest_point(values, k, scales):
    """Distances of a kernel are divided by its scale."""
    W = kernels(values)
    Z = irregular(W, k, scales=scales)
    assert all(((z == 0) | (z == w)).numpy().all() for z, w in zip(Z, W))
    scaled = [w / s for w, s in zip(W, scales)]
    found = distance([z / s for z, s in zip(Z, scales)], scaled)
    assert found == pytest.approx(nearest(scaled, lambda kept: kept.sum() <= k), abs=1e-5)


def test_of_a_kernel_without_scale_no_weight_comes_first():
    W = kernels([1.0, -3.0, 2.0, 0.5, 0.1, -4.0])
    assert [np.count_nonzero(z) for z in irregular(W, 2, scales=(0.0, 1.0))] == [0, 2]


@settings(deadline=None)
@given(values=either, k=st.integers(3, 6))
def test_irregular_with_floors_is_the_nearest_point(values, k):
    """A floor of 0.5 reserves two weights of the first kernel and one of the second."""
    W = kernels(values)
    allowed = nearest(W, lambda s: s.sum() <= k and s[:4].sum() >= 2 and s[4:].sum() >= 1)
    assert distance(irregular(W, k, floor=0.5), W) == pytest.approx(allowed, abs=1e-6)


def test_floors_that_exceed_k():
    with pytest.raises(ValueError, match="expected k >= 3"):
        irregular(kernels([1.0] * 6), 2, floor=0.5)


@given(values=tied, k=st.integers(0, 6))
@settings(deadline=None)
def test_irregular_keeps_exactly_k_among_ties(values, k):
    assert np.count_nonzero(flat(irregular(kernels(values), k))) == k


EDGES = [0, 1e-42, 1e-38, 0.5, 1, 1 + 2**-23, 3, 1e38, np.inf]


@settings(deadline=None)
@given(values=st.lists(st.sampled_from(EDGES), min_size=1, max_size=300), fraction=st.floats(0, 1))
def test_the_largest_by_counting_are_those_by_sorting(values, fraction):
    """Zeros, subnormal numbers, neighbours in the last bit and infinities; of equal ones the first."""
    scores = np.array(values, np.float32)
    m = round(fraction * len(scores))
    expected = np.zeros(len(scores))
    expected[np.argsort(-scores, kind="stable")[:m]] = 1
    np.testing.assert_array_equal(top(tf.constant(scores), m), expected)


def test_the_largest_of_many():
    scores = tf.abs(tf.random.stateless_normal([200_000], (0, 0)))
    order = np.argsort(-scores.numpy(), kind="stable")
    for m in (0, 1, 2_000, 100_000, 199_999, 200_000):
        assert set(np.flatnonzero(top(scores, m))) == set(order[:m])


def test_irregular_in_a_graph_takes_k_as_a_tensor():
    project = tf.function(lambda k: irregular(kernels([1.0, -3.0, 2.0, 0.5, 0.1, -4.0]), k))
    np.testing.assert_array_equal(flat(project(tf.constant(2))), [0, -3, 0, 0, 0, -4])
    np.testing.assert_array_equal(flat(project(tf.constant(3))), [0, -3, 2, 0, 0, -4])
    assert project.experimental_get_tracing_count() == 1


@settings(deadline=None)
@given(values=either, k=st.integers(2, 6))
def test_per_layer_is_the_nearest_point(values, k):
    W, m = kernels(values), proportional([4, 2], k)
    assert sum(m) == k
    expected = nearest(W, lambda s: s[:4].sum() <= m[0] and s[4:].sum() <= m[1])
    assert distance(per_layer(W, k), W) == pytest.approx(expected, abs=1e-6)


def test_exempt_kernels_stay_dense_and_count():
    W = kernels([1.0, 2.0, 3.0, 4.0, 0.1, 0.2])
    np.testing.assert_allclose(flat(per_layer(W, 3, exempt=(1,))), [0, 0, 0, 4, 0.1, 0.2])
    with pytest.raises(ValueError, match="expected k >= 3"):
        per_layer(W, 2, exempt=(1,))


@given(st.lists(st.integers(1, 500), min_size=1, max_size=6), st.floats(0, 1))
def test_shares_are_proportional_and_exact(sizes, fraction):
    k = len(sizes) + round(fraction * (sum(sizes) - len(sizes)))
    m = np.array(proportional(sizes, k))
    assert m.sum() == k
    assert (m >= 1).all()
    assert (m <= sizes).all()
    assert (np.abs(m - k * np.array(sizes) / sum(sizes)) < len(sizes) + 1).all()


def test_lenet_per_layer_at_one_percent():
    assert proportional([500, 25000, 400000, 5000], 4305) == [5, 250, 4000, 50]


@settings(deadline=None)
@given(values=either)
def test_two_of_four_is_the_nearest_point(values):
    """The convolution's four inputs are one group; the dense kernel has one input, so both its weights may stay."""
    W = kernels(values)
    assert distance(n_of_m(W, 6), W) == pytest.approx(nearest(W, lambda s: s[:4].sum() <= 2), abs=1e-6)


def test_two_of_four_by_hand():
    kernel = tf.constant([[5.0, 1.0], [-6.0, 2.0], [1.0, 3.0], [2.0, -4.0], [7.0, 0.5]])  # five inputs: one more group
    expected = [[5, 0], [-6, 0], [0, 3], [0, -4], [7, 0.5]]
    np.testing.assert_array_equal(n_of_m([kernel], 6)[0], expected)
    with pytest.raises(ValueError, match="expected k >= 6"):
        n_of_m([kernel], 5)


def test_what_two_of_four_may_keep_of_a_convolution():
    """Six inputs of two outputs, a whole group and half a group: 2 (2 + 2) weights."""
    W = [tf.reshape(tf.range(1.0, 13.0), (1, 3, 2, 2))]
    with pytest.raises(ValueError, match="expected k >= 8"):
        n_of_m(W, 7)
    assert np.count_nonzero(n_of_m(W, 8)[0]) == 8


@settings(deadline=None)
@given(values=either, blocks=st.integers(1, 2))
def test_blocks_are_the_nearest_point(values, blocks):
    """Blocks of two inputs: the convolution has two, each weight of the dense kernel counts as one."""
    W = kernels(values)
    used = lambda s: s[:2].any().astype(int) + s[2:4].any() + s[4] + s[5]
    Z = block(W, 2 * blocks, block_size=2)
    assert distance(Z, W) == pytest.approx(nearest(W, lambda s: used(s) <= blocks), abs=1e-6)


@given(shape=st.sampled_from([(3, 3, 2, 4), (10, 3), (8, 2)]), size=st.integers(1, 5))
@settings(deadline=None)
def test_groups_run_along_the_inputs(shape, size):
    w = tf.reshape(tf.range(1.0, 1 + np.prod(shape)), shape)
    groups = grouped(w, size)
    np.testing.assert_array_equal(ungrouped(groups, shape), w)
    matrix = np.reshape(w, (-1, shape[-1]))
    np.testing.assert_array_equal(groups[0, : len(matrix), :], matrix[:size])


@settings(deadline=None)
@given(values=either, k=st.integers(0, 6), bits=st.integers(1, 3))
def test_a_codebook_has_few_values_and_zero(values, k, bits):
    for z in codebook(kernels(values), k, bits=bits):
        assert len(set(np.ravel(z)) - {0.0}) <= 2**bits - 1


def test_a_codebook_has_256_values_by_default():
    w = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    assert len(np.unique(codebook([tf.constant(w)], 1500, rounds=2))) == 256


def test_a_codebook_is_lloyds_fixed_point():
    w = np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32)
    (z,) = codebook([tf.constant(w)], 600, bits=4, rounds=1000)
    z = z.numpy()
    kept = z != 0
    assert kept.sum() == 600
    centres = np.unique(z[kept])
    assert len(centres) == 15
    for centre in centres:
        assert w[z == centre].mean() == pytest.approx(centre, abs=1e-5)
    np.testing.assert_allclose(np.abs(w[kept] - z[kept]), np.abs(w[kept][:, None] - centres).min(1), atol=1e-6)


def test_all_weights_are_a_block_pattern_and_less_than_a_block_is_none():
    W = kernels([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    np.testing.assert_array_equal(flat(block(W, 6)), flat(W))
    with pytest.raises(ValueError, match="expected k >= 4, one block; got 3"):
        block(W, 3)


def test_floors_are_rounded_up_to_whole_weights():
    """0.07 of 100 weights is 7, though 0.07 * 100 is a little more in floating point."""
    W = [tf.ones((100,)), tf.fill((100,), 2.0)]
    assert [np.count_nonzero(z) for z in irregular(W, 50, floor=0.07)] == [7, 43]
    assert [np.count_nonzero(z) for z in irregular(W, 50, floor=0.071)] == [8, 42]
