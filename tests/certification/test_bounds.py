"""Interval bounds: sound for whatever is sampled, exact where they can be, and refused where they are not known."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.certification.bounds import worst_logits
from robust_tf.compression import atmc
from robust_tf.compression.plain import plain
from robust_tf.models import MODELS
from robust_tf.refusal import Refusal

layers = keras.layers


def every_layer():
    """All layers with a rule, branches among them; batch statistics of either sign."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="tanh")(x)
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    y = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 1, use_bias=False)(y))
    x = layers.Concatenate()([layers.Add()([x, y]), y])
    x = layers.MaxPooling2D(2)(layers.ZeroPadding2D(1)(x))
    x = layers.ReLU()(layers.Conv2D(6, 2)(x))
    x = layers.Dense(5, activation="sigmoid")(layers.Flatten()(x))
    net = keras.Model(image, layers.Dense(3)(x))
    rng = np.random.default_rng(0)
    shapes = [w.shape for w in net.get_layer("norm").get_weights()]
    values = [
        rng.normal(size=shapes[0]),
        *(rng.normal(size=shape) for shape in shapes[1:3]),
        rng.uniform(0.5, 2, shapes[3]),
    ]
    net.get_layer("norm").set_weights(values)
    return net


def images(shape=(8, 8, 2), count=5):
    rng = np.random.default_rng(1)
    return rng.random((count, *shape)).astype(np.float32), rng.integers(0, 3, count)


@pytest.mark.parametrize("eps", [0.0, 0.05, 0.3])
def test_no_image_of_the_ball_exceeds_the_bounds(eps):
    net, (x, y) = every_layer(), images()
    upper = worst_logits(net, x, y, eps).numpy()
    rng = np.random.default_rng(2)
    for draw in range(40):
        step = rng.uniform(-1, 1, x.shape) if draw % 2 else rng.choice([-1, 1], x.shape)
        z = net(np.clip(x + eps * step, 0, 1).astype(np.float32)).numpy()
        assert (z - z[np.arange(len(y)), y][:, None] <= upper + 1e-5).all()
    np.testing.assert_array_equal(upper[np.arange(len(y)), y], 0)


def test_at_eps_0_they_are_the_logits():
    net, (x, y) = every_layer(), images()
    z = net(x).numpy()
    np.testing.assert_allclose(worst_logits(net, x, y, 0.0), z - z[np.arange(len(y)), y][:, None], atol=1e-5)


@pytest.mark.parametrize("name", ["resnet8", "wrn_10_1", "mobilenet_v1", "shufflenet_v2"])
def test_nets_of_the_registry_are_bounded(name):
    keras.utils.set_random_seed(0)
    net = MODELS[name]((8, 8, 3), 3, 0.1, normalisation=((0.5,) * 3, (0.25, -0.25, 0.25)))
    x, y = images((8, 8, 3))
    own = np.arange(len(y)), y
    z = net(x).numpy()
    scale = np.abs(z).max()
    np.testing.assert_allclose(worst_logits(net, x, y, 0.0), z - z[own][:, None], atol=1e-4 * scale)
    upper = worst_logits(net, x, y, 0.05).numpy()
    for sign in (-1, 1):
        z = net(np.clip(x + 0.05 * sign, 0, 1)).numpy()
        assert (z - z[own][:, None] <= upper + 1e-4 * scale).all()


def test_rounding_to_levels_moves_them_by_half_a_step_of_image_and_activations():
    """Exactly without a ReLU: z_j - z_y + |V_j - V_y| (|W| 1/8 + step/2) with 4 levels."""
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten(), layers.Dense(5), layers.Dense(3)])
    x, y = images((2, 2, 1))
    W, V = net.layers[1].kernel.numpy(), net.layers[2].kernel.numpy()
    a = x.reshape(-1, 4) @ W
    step = (a.max() - a.min()) / 4  # of 4 levels; the activations have both signs
    radius = np.abs(W).sum(0) / 4 / 2 + step / 2
    z = a @ V
    differences = V[:, :, None] - V[:, None, :]  # (j, i): V_j - V_i
    slack = np.einsum("d,dji->ij", radius, np.abs(differences))[y]
    np.testing.assert_allclose(
        worst_logits(net, x, y, 0.0, levels=4), z - z[np.arange(len(y)), y][:, None] + slack, atol=1e-5
    )


def test_a_net_that_rounds_each_activation_keeps_within_the_bounds_of_its_levels():
    """Layers without weights do not round; images do. Without the levels, the bounds at eps 0 are exact."""
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 1))
    hidden = layers.MaxPooling2D(2)(layers.Conv2D(4, 3, activation="relu")(image))
    hidden = layers.Dense(5, activation="relu")(layers.Flatten()(hidden))
    net = keras.Model(image, layers.Dense(3)(hidden))
    x, y = images((6, 6, 1), 200)
    upper = worst_logits(net, x, y, 0.0, levels=15).numpy()

    def rounded(a, step):
        return np.round(a / step) * step

    clean, steps = x, []
    for layer in net.layers[1:-1]:
        clean = layer(clean).numpy()
        steps.append(clean.max() / 15 if layer.weights else None)
    a = rounded(x, 1 / 15).astype(np.float32)
    for layer, step in zip(net.layers[1:-1], steps):
        a = layer(a).numpy()
        a = rounded(a, step).astype(np.float32) if step else a
    z = net.layers[-1](a).numpy()
    own = np.arange(len(y)), y
    assert (z - z[own][:, None] <= upper + 1e-5).all()
    assert (z - z[own][:, None] > worst_logits(net, x, y, 0.0).numpy() + 1e-5).any()


def test_they_are_exact_for_a_linear_net():
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((4, 3, 1)), layers.Flatten(), layers.Dense(3)])
    x, y = images((4, 3, 1))
    x = 0.2 + 0.6 * x
    W, z = net.layers[-1].kernel.numpy(), net(x).numpy()
    for n in range(len(y)):
        expected = [z[n, j] - z[n, y[n]] + 0.1 * np.abs(W[:, j] - W[:, y[n]]).sum() for j in range(3)]
        np.testing.assert_allclose(worst_logits(net, x, y, 0.1)[n], expected, atol=1e-5)


def test_factorised_layers_are_bounded_as_what_they_stand_for():
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [keras.Input((6, 5, 2)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3)]
    )
    factorised = atmc.factorise(net)
    rng = np.random.default_rng(0)
    for w in atmc.factors(factorised):
        w.assign(rng.normal(size=w.shape) / 3)
    x, y = images((6, 5, 2))
    expected = worst_logits(plain(factorised), x, y, 0.1)
    np.testing.assert_allclose(worst_logits(factorised, x, y, 0.1), expected, rtol=1e-4, atol=1e-4)


def test_the_bounds_can_be_trained_through():
    net, (x, y) = every_layer(), images()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(worst_logits(net, x, y, 0.1))
    assert all(gradient is not None for gradient in tape.gradient(loss, net.trainable_variables)[:-1])


@pytest.mark.parametrize(
    ("layer", "name"),
    [(layers.Dense(4, activation="swish", name="odd"), "odd"), (layers.LayerNormalization(name="ln"), "ln")],
)
def test_layers_without_a_rule_are_refused(layer, name):
    net = keras.Sequential([keras.Input((4, 3, 1)), layers.Flatten(), layer, layers.Dense(3)])
    with pytest.raises(Refusal, match=f"interval bounds: expected supported layers; got {name}"):
        worst_logits(net, np.zeros((1, 4, 3, 1), np.float32), np.array([0]), 0.1)


def test_the_last_layer_is_dense():
    net = keras.Sequential([keras.Input((4, 3, 1)), layers.Conv2D(3, (4, 3), name="last"), layers.Flatten(name="flat")])
    with pytest.raises(Refusal, match="expected a dense, linear last layer; got flat"):
        worst_logits(net, np.zeros((1, 4, 3, 1), np.float32), np.array([0]), 0.1)
