"""HYDRA's scored layers: the masked net, its straight-through gradient, and supports that the loss chooses."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.certification.bounds import worst_logits
from robust_tf.compression import hydra
from robust_tf.compression.plain import plain
from robust_tf.models.kernels import count, kernel_layers, kernels
from robust_tf.projections.irregular import irregular

layers = keras.layers


@pytest.fixture
def net():
    """Every kind of kernel, one without bias, and batch norm."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", bias_initializer="normal"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu", bias_initializer="normal"),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(6, activation="relu", bias_initializer="normal"),
            layers.Dense(3),
        ]
    )


@pytest.fixture
def x():
    return np.random.default_rng(0).random((5, 8, 8, 2)).astype(np.float32)


def test_the_first_masks_are_those_of_magnitude(net, x):
    scored = hydra.scored(net)
    np.testing.assert_allclose(scored(x), net(x), atol=1e-6)
    k = count(kernels(net)) // 3
    hydra.choose(scored, k)
    for w, z in zip(kernels(net), irregular(kernels(net), k)):
        w.assign(z)
    np.testing.assert_allclose(scored(x), net(x), atol=1e-6)
    np.testing.assert_allclose(plain(scored)(x), net(x), atol=1e-6)


def test_the_gradient_passes_the_mask(net, x):
    """dL/ds = dL/dkernel W sign(s) for weights that are kept and for others, of each kind of layer."""
    scored, rng = hydra.scored(net), np.random.default_rng(1)
    for w in kernels(scored):
        w.assign(rng.normal(size=w.shape))
    hydra.choose(scored, count(kernels(net)) // 2)
    masked = plain(scored)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(scored(x, training=True) ** 2)
    gradients = tape.gradient(loss, kernels(scored))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(masked(x, training=True) ** 2)
    for layer, got, plain_gradient in zip(kernel_layers(scored), gradients, tape.gradient(loss, kernels(masked))):
        scores = layer.depthwise_kernel if hasattr(layer, "depthwise_kernel") else layer.kernel
        expected = plain_gradient * layer.W * tf.sign(scores)
        np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())
        assert (np.abs(got)[layer.mask.numpy() == 0] > 0).any()


def test_biases_and_batch_norm_are_trained_and_kernels_are_not(net):
    scored = hydra.scored(net)
    assert len(scored.trainable_weights) == len(net.trainable_weights)
    before = [layer.W.numpy() for layer in kernel_layers(scored)]
    for w in scored.trainable_weights:
        w.assign_add(tf.ones_like(w))
    for w, layer in zip(before, kernel_layers(scored)):
        np.testing.assert_array_equal(w, layer.W)


def test_what_is_kept_are_the_weights_of_the_largest_scores(net, x):
    scored, rng = hydra.scored(net), np.random.default_rng(1)
    for w in kernels(scored):
        w.assign(rng.normal(size=w.shape))
    k = count(kernels(net)) // 4
    scores = np.abs(np.concatenate([w.numpy().ravel() for w in kernels(scored)]))
    hydra.drop(scored, k)
    kept = hydra.pruned(scored)
    np.testing.assert_allclose(kept(x), scored(x), atol=1e-6)
    expected = np.concatenate([w.numpy().ravel() for w in kernels(net)])
    expected[np.argsort(-scores)[k:]] = 0
    np.testing.assert_array_equal(np.concatenate([w.numpy().ravel() for w in kernels(kept)]), expected)
    assert all(type(layer).__module__.startswith("tf_keras") for layer in kept.layers)


def test_bounds_are_those_of_the_masked_net(net, x):
    scored, y = hydra.scored(net), np.arange(5) % 3
    hydra.choose(scored, count(kernels(net)) // 3)
    np.testing.assert_allclose(worst_logits(scored, x, y, 0.05), worst_logits(plain(scored), x, y, 0.05), atol=1e-5)


def test_scores_find_the_support_that_magnitude_misses():
    """y = 2 x_0 + x_1, of the weights (2, 1, 5, -5) of inputs x_0, x_1, n, n, with which the net is exact: the two
    largest only add noise. Of the six pairs, the scores find the best."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 4)).astype(np.float32)
    x[:, 3] = x[:, 2]
    y = x @ np.float32([[2], [1], [5], [-5]])
    net = keras.Sequential([keras.Input((4,)), layers.Dense(1, use_bias=False)])
    net.layers[0].kernel.assign([[2], [1], [5], [-5]])
    scored, optimizer = hydra.scored(net), keras.optimizers.SGD(0.002)
    hydra.choose(scored, 2)
    np.testing.assert_array_equal(scored.layers[0].mask[:, 0], [0, 0, 1, 1])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((scored(x) - y) ** 2)
        optimizer.minimize(loss, scored.trainable_weights, tape)
        hydra.choose(scored, 2)
        return loss

    for _ in range(2000):
        loss = step()
    np.testing.assert_array_equal(scored.layers[0].mask[:, 0], [1, 1, 0, 0])
    assert float(loss) < 1e-6
