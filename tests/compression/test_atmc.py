"""ATMC: the factorised layers' function, their budget, and what they are turned into."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.compression import atmc
from robust_tf.compression.plain import plain, write
from robust_tf.models.kernels import kernels
from robust_tf.records.summary import FactorisedLayer


@pytest.fixture
def net():
    """Convolutions with fewer and with more outputs than inputs, a depthwise one, a dense end."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            layers.Conv2D(4, 3, activation="relu", name="narrow"),  # 18 -> 4
            layers.Conv2D(9, 1, use_bias=False, name="wide"),  # 4 -> 9: the identity stands on the other side
            layers.BatchNormalization(name="norm"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Flatten(name="flat"),
            layers.Dense(3, activation="tanh", name="logits"),
        ]
    )


@pytest.fixture
def x():
    return np.random.default_rng(0).random((4, 6, 5, 2), np.float32)


def fill(factorised, seed=0, keep=1.0):
    """Random values in all factors, a fraction of them."""
    rng = np.random.default_rng(seed)
    for w in atmc.factors(factorised):
        w.assign((0.3 * rng.normal(size=w.shape) * (rng.random(w.shape) < keep)).astype(np.float32))


def test_the_start_is_the_net_itself(net, x):
    factorised = atmc.factorise(net)
    np.testing.assert_array_equal(factorised(x), net(x))
    shapes = {layer.name: layer.U.shape for layer in factorised.layers if atmc.is_factorised(layer)}
    assert shapes == {"narrow": (4, 4), "wide": (4, 4), "logits": (3, 3)}
    assert len(atmc.factors(factorised)) == 3 * 3 + 1
    factorised.layers[0].kernel.assign_add(tf.ones_like(factorised.layers[0].kernel))
    assert (kernels(net)[0].numpy() != factorised.layers[0].kernel.numpy()).all()


@pytest.mark.parametrize("keep", [1.0, 0.2, 0.05, 0.0])
def test_materialised_nets_have_the_same_function(net, x, keep):
    factorised = atmc.factorise(net)
    fill(factorised, keep=keep)
    np.testing.assert_allclose(plain(factorised)(x), factorised(x), atol=1e-5)
    np.testing.assert_allclose(atmc.thin(factorised)(x), factorised(x), atol=1e-5)
    np.testing.assert_allclose(atmc.halved(factorised)(x), factorised(x), atol=1e-5)
    write(factorised, net)
    np.testing.assert_allclose(net(x), factorised(x), atol=1e-5)


def test_the_formula_in_the_papers_letters(net):
    """W = (I + U')V + C with W = M^T."""
    factorised = atmc.factorise(net)
    fill(factorised)
    layer = factorised.get_layer("narrow")
    U, V, C = layer.U.numpy().T, layer.kernel.numpy().reshape(18, 4).T, layer.C.numpy().reshape(18, 4).T
    W = (np.eye(4) + U) @ V + C
    np.testing.assert_allclose(atmc.materialised(layer).numpy().reshape(18, 4).T, W, atol=1e-6)


@pytest.mark.parametrize("k", [0, 1, 17, 100, 10**6])
def test_the_budget_is_global_over_all_factors(net, k):
    factorised = atmc.factorise(net)
    fill(factorised)
    values = np.sort(np.abs(np.concatenate([np.ravel(w) for w in atmc.factors(factorised)])))
    k = min(k, len(values))
    tf.function(lambda: atmc.project(factorised, k))()
    kept = np.abs(np.concatenate([np.ravel(w) for w in atmc.factors(factorised)]))
    assert np.count_nonzero(kept) == k
    np.testing.assert_array_equal(np.sort(kept)[len(kept) - k :], values[len(values) - k :])


def test_magnitudes_by_layer_do_not_depend_on_a_layers_scale(net):
    """The same entries stay if a layer is multiplied by a number; without by_layer others do."""
    factorised = atmc.factorise(net)
    fill(factorised)
    W = [w.numpy() for w in atmc.factors(factorised)]
    scaled = [
        w * np.float32(s) for w, s in zip(W, [10] * 3 + [1] * 3 + [0.1] + [1] * 3)
    ]  # narrow, wide, depthwise, logits

    def kept(tensors, by_layer):
        return np.concatenate(
            [np.ravel(z) != 0 for z in atmc.largest(factorised, list(map(tf.constant, tensors)), 40, by_layer)]
        )

    assert kept(W, True).sum() == 40
    np.testing.assert_array_equal(kept(W, True), kept(scaled, True))
    assert (kept(W, False) != kept(scaled, False)).any()


def test_magnitudes_by_layer_are_divided_by_its_root_mean_square(net):
    factorised = atmc.factorise(net)
    fill(factorised, keep=0.5)
    W = [w.numpy() for w in atmc.factors(factorised)]
    layers = [(W[:3], W[1]), (W[3:6], W[4]), (W[6:7], W[6]), (W[7:], W[8])]  # factors, and what has a weight's size
    quotients = [
        np.abs(w) / np.sqrt(sum((each**2).sum() for each in layer) / kernel.size)
        for layer, kernel in layers
        for w in layer
    ]
    threshold = np.sort(np.concatenate([np.ravel(q) for q in quotients]))[-40]
    for z, q in zip(atmc.largest(factorised, list(map(tf.constant, W)), 40, by_layer=True), quotients):
        np.testing.assert_array_equal(z.numpy() != 0, q >= threshold)


def test_an_svd_start_has_the_same_function_and_factors_of_equal_size(net, x):
    """V'V = (I + U)(I + U)', or VV' = (I + U)'(I + U) on the other side, with I + U symmetric."""
    factorised = atmc.factorise(net, atmc.svd_start)
    np.testing.assert_allclose(factorised(x), net(x), atol=1e-5)
    for layer in factorised.layers:
        if atmc.is_factorised(layer):
            V, I_U = (
                layer.kernel.numpy().reshape(-1, layer.kernel.shape[-1]),
                np.eye(layer.U.shape[0]) + layer.U.numpy(),
            )
            np.testing.assert_allclose(I_U, I_U.T, atol=1e-5)
            gram = V.T @ V if layer.after else V @ V.T
            np.testing.assert_allclose(gram, I_U @ I_U, atol=1e-5)
            assert not np.count_nonzero(layer.C)


def test_merging_changes_no_function(net, x):
    factorised = atmc.factorise(net)
    fill(factorised, keep=0.3)
    before = factorised(x).numpy()
    held = sum(np.count_nonzero(w) for w in atmc.factors(factorised))
    for layer in factorised.layers:
        if atmc.is_factorised(layer):
            atmc.merge(layer)
    np.testing.assert_allclose(factorised(x), before, atol=1e-5)
    assert sum(np.count_nonzero(w) for w in atmc.factors(factorised)) < held


def test_the_budget_is_not_spent_twice(net, x):
    """After one step from the start, where V and C have one gradient, no position is held by both."""
    factorised = atmc.factorise(net)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(factorised(x) ** 2)
    layer = factorised.get_layer("logits")
    gradient = tape.gradient(loss, [layer.kernel, layer.C])
    np.testing.assert_allclose(gradient[0], gradient[1], atol=1e-5)
    layer.kernel.assign_sub(0.1 * gradient[0])
    layer.C.assign_sub(0.1 * gradient[1])
    N = sum(w.shape.num_elements() for w in kernels(net))
    atmc.project(factorised, N)
    assert not np.count_nonzero(layer.C.numpy() * layer.kernel.numpy())


def test_counts_and_ranks(net):
    factorised = atmc.factorise(net)
    fill(factorised, keep=0.0)
    narrow, wide = factorised.get_layer("narrow"), factorised.get_layer("wide")
    narrow.U.assign([[0.0, 2, 0, 0], [0, 0, 0, 0], [1, 0, -1, 0], [0, 0, 0, 0]])  # row 2: -1 cancels the identity
    narrow.kernel.assign(tf.one_hot(tf.zeros((3, 3, 2), tf.int32), 4))  # filter 0 alone
    wide.U.assign([[0.0, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    report = atmc.report(factorised)
    rows = {row.layer: row for row in report.layers}
    assert rows["narrow"] == FactorisedLayer(layer="narrow", U=3, V=18, C=0, rank_U=2, rank_V=1, full_rank=4)
    assert rows["wide"].rank_U == 1
    assert rows["depthwise"] == FactorisedLayer(layer="depthwise", W=0)
    assert report.nonzero == 3 + 18 + 2
    # I + U: of narrow's 4 ones one is cancelled by an entry of U, of wide's one is doubled, logits has 3.
    assert report.nonzero_literal == (2 + 3) + 18 + (1 + 4) + 3


def test_thin_layers_where_they_take_fewer_multiply_adds(net, x):
    factorised = atmc.factorise(net)
    fill(factorised, keep=0.0)
    narrow = factorised.get_layer("narrow")
    narrow.kernel.assign(tf.one_hot(tf.zeros((3, 3, 2), tf.int32), 4))
    narrow.U.assign(tf.ones((4, 4)))
    thin = atmc.thin(factorised)
    assert thin.get_layer("narrow_thin").kernel.shape == (3, 3, 2, 1)
    assert thin.get_layer("narrow").kernel.shape == (1, 1, 1, 4)
    np.testing.assert_allclose(thin(x), factorised(x), atol=1e-5)


def test_gradients_reach_all_factors(net, x):
    """Against finite differences, where U is not zero."""
    factorised = atmc.factorise(net)
    fill(factorised)
    layer = factorised.get_layer("wide")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(factorised(x) ** 2)
    for w, g in zip((layer.U, layer.kernel, layer.C), tape.gradient(loss, [layer.U, layer.kernel, layer.C])):
        index, h = (0,) * len(w.shape), 1e-2
        start = w.numpy()
        values = []
        for sign in (1, -1):
            moved = start.copy()
            moved[index] += sign * h
            w.assign(moved)
            values.append(float(tf.reduce_sum(factorised(x) ** 2)))
        w.assign(start)
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(float(g[index]), rel=0.02, abs=1e-3)
