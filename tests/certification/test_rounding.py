"""Bounds with a unit roundoff hold for logits that are computed in float32, in any form of the net and any order."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.certification.bounds import UNIT, fan_in, linear, summands, worst_logits
from robust_tf.models import MODELS
from robust_tf.models.fast import inference_form, training_form

layers = keras.layers
NORMALISATION = ((0.5,) * 3, (0.25, -0.25, 0.25))


def small(name):
    keras.utils.set_random_seed(0)
    size = 16 if name == "lenet" else 8
    net = MODELS[name]((size, size, 3), 3, 0.2, normalisation=NORMALISATION)
    rng = np.random.default_rng(0)
    for layer in net.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = (w.shape for w in layer.get_weights())
            shift = (rng.normal(size=shape) for shape in (gamma, beta, mean))
            layer.set_weights([*shift, rng.uniform(0.3, 2, variance)])
    return net


def smooth():
    """Average pooling, tanh and sigmoid."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((8, 8, 3))
    x = layers.AveragePooling2D(2)(layers.Conv2D(5, 3, padding="same", activation="tanh")(x))
    x = layers.Add()([layers.Conv2D(5, 1, activation="sigmoid")(x), x])
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(x))
    return keras.Model(image, layers.Dense(3)(x))


NETS = {name: lambda name=name: small(name) for name in ("lenet", "resnet8", "mobilenet_v1")}
NETS["smooth"] = smooth


def differences(z, y):
    return z - z[np.arange(len(y)), y][:, None]


def in_float64(net):
    """The same function in float64, whose rounding is none beside float32's."""
    before = keras.backend.floatx()
    keras.backend.set_floatx("float64")
    try:
        config = net.get_config()
        for layer in config["layers"]:
            layer["config"]["dtype"] = "float64"
        twin = type(net).from_config(config)
    finally:
        keras.backend.set_floatx(before)
    twin.set_weights(net.get_weights())
    return twin


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "mobilenet_v1")) for name in NETS]
)
def test_every_form_of_the_net_is_inside_at_eps_0(name):
    """Where the bounds have no width but their allowance for rounding: without it they are exceeded."""
    net = NETS[name]()
    rng = np.random.default_rng(1)
    x = rng.random((40, *net.input_shape[1:]), np.float32)
    y = rng.integers(0, 3, len(x))
    plain, upper = (worst_logits(training_form(net), x, y, 0.0, unit).numpy() for unit in (0.0, UNIT))
    exceeded = False
    exact = in_float64(net)(x.astype(np.float64)).numpy()
    singly = np.concatenate([inference_form(net)(image[None]) for image in x[:10]])
    for z in (net(x).numpy(), inference_form(net)(x).numpy(), training_form(net)(x).numpy(), exact, singly):
        found = differences(z.astype(np.float64), y[: len(z)])
        assert (found <= upper[: len(z)]).all()
        exceeded |= (found > plain[: len(z)]).any()
    assert exceeded
    allowance = (upper - plain).max() / np.abs(exact).max()
    assert allowance < 0.05  # of the largest logit; it grows from layer to layer


@pytest.mark.parametrize(
    "layer",
    [layers.Conv2D(4, (3, 2)), layers.Conv2D(4, 3, groups=2), layers.DepthwiseConv2D((3, 2)), layers.Dense(3)],
    ids=["conv", "groups", "depthwise", "dense"],
)
def test_the_products_of_a_layer_are_counted(layer):
    """With a kernel and inputs of ones an output is their number."""
    ones = tf.ones((1, 12) if isinstance(layer, layers.Dense) else (1, 5, 6, 4))
    layer(ones)
    assert np.unique(linear(layer, ones, tf.ones_like)) == [fan_in(layer)]


def test_the_summands_of_a_layer_are_counted():
    three, pool, whole = layers.Add(), layers.AveragePooling2D((2, 3)), layers.GlobalAveragePooling2D()
    a = keras.Input((4, 5, 2))
    for layer, inputs, count in ((three, [a, a, a], 3), (pool, a, 6), (whole, a, 20)):
        layer(inputs)
        assert summands(layer, inputs) == count


def test_sums_that_cancel_in_any_order():
    """1e4 (a - a') + ...: float32's sum depends on the order, the bounds hold for all orders."""
    rng = np.random.default_rng(0)
    half = 1e4 * rng.random((200, 2)).astype(np.float32)
    W = np.concatenate([half, -half]) + rng.normal(size=(400, 2)).astype(np.float32) / 100
    net = keras.Sequential([keras.Input((20, 20, 1)), layers.Flatten(), layers.Dense(2)])
    net.layers[-1].set_weights([W, np.zeros(2)])
    image = rng.random((1, 200)).astype(np.float32)
    x = np.concatenate([image, image], 1)
    low, high = (worst_logits(net, x.reshape(1, 20, 20, 1), np.array([y]), 0.0, UNIT).numpy()[0] for y in (0, 1))
    found = []
    for order in [
        np.arange(400),
        np.arange(400)[::-1],
        np.argsort(np.arange(400) % 200),
        *map(rng.permutation, [400] * 20),
    ]:
        z = np.add.accumulate((x[0, order, None] * W[order]), dtype=np.float32)[-1]
        found.append(z[1] - z[0])
        assert -high[0] <= found[-1] <= low[1]
    assert max(found) - min(found) > 0.1
