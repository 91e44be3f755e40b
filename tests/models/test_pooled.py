import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.certification.bounds import worst_logits
from robust_tf.models import MODELS
from robust_tf.models.fast import training_form as fused
from robust_tf.models.pooled import PooledConv


def net_of(height, width, channels, window, **conv):
    image = keras.Input((height, width, channels))
    x = keras.layers.Conv2D(3, window, bias_initializer="normal", **conv)(image)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(image, keras.layers.Dense(4)(x))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("window", [1, 2, 3, 4, 5, (3, 4)])
@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
def test_same_logits_and_gradients(window, channels, activation):
    keras.utils.set_random_seed(0)
    net = net_of(10, 12, channels, window, activation=activation)
    fast = fused(net)
    assert any(isinstance(layer, PooledConv) for layer in fast.layers)
    x = tf.random.uniform((5, 10, 12, channels))
    results = []
    for each in (net, fast):
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = each(x)
            loss = tf.reduce_sum(tf.sin(z))
        results.append([z, *tape.gradient(loss, [x, *net.trainable_variables])])
    for plain, quick in zip(*results):
        np.testing.assert_allclose(quick, plain, rtol=1e-4, atol=1e-5)


def test_of_equal_values_the_first_gets_the_gradient():
    """As in Keras' pooling: an even grey image makes all four values under each window equal."""
    keras.utils.set_random_seed(0)
    net = net_of(10, 12, 1, 3, activation="relu")
    gradients = []
    for each in (net, fused(net)):
        x = tf.fill((1, 10, 12, 1), 0.5)
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = tf.reduce_sum(each(x)[:, 0])
        gradients.append(tape.gradient(z, x).numpy())
    assert np.abs(gradients[0]).max() > 0.01
    np.testing.assert_allclose(*gradients, atol=1e-6)


def test_shares_its_variables_and_leaves_the_net_as_it_was():
    net = MODELS["lenet"]((28, 28, 1), 10)
    before = net.to_json()
    fast = fused(net)
    assert {id(v) for v in fast.trainable_variables} == {id(v) for v in net.trainable_variables}
    assert net.to_json() == before
    x = tf.random.uniform((2, 28, 28, 1))
    net.get_layer("conv1").kernel.assign(-net.get_layer("conv1").kernel)
    np.testing.assert_allclose(fast(x), net(x), atol=1e-5)


def test_sequential_nets_too():
    layers = keras.layers
    net = keras.Sequential([layers.Conv2D(2, 3), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(3)])
    net.build((None, 8, 8, 1))
    x = tf.random.uniform((2, 8, 8, 1))
    fast = fused(net)
    assert fast is not net
    np.testing.assert_allclose(fast(x), net(x), atol=1e-5)


@pytest.mark.parametrize(
    ("size", "channels", "conv", "pool"),
    [
        (9, 1, {}, {}),
        (8, 5, {}, {}),
        (8, 1, {"padding": "same"}, {}),
        (8, 1, {"strides": 2}, {}),
        (8, 1, {"dilation_rate": 2}, {}),
        (8, 1, {"activation": "gelu"}, {}),
        (8, 1, {}, {"strides": 1}),
        (8, 1, {}, {"padding": "same"}),
        (9, 1, {}, {"pool_size": 3}),
    ],
)
def test_other_layers_stay_as_they_are(size, channels, conv, pool):
    image = keras.Input((size, size, channels))
    x = keras.layers.Conv2D(3, 3, **conv)(image)
    x = keras.layers.MaxPooling2D(**{"pool_size": 2, **pool})(x)
    net = keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(x)))
    assert fused(net) is net


def test_a_convolution_with_two_readers_stays():
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(3, 3)(image)
    pooled = keras.layers.Flatten()(keras.layers.MaxPooling2D(2)(x))
    net = keras.Model(image, keras.layers.Concatenate()([pooled, keras.layers.Flatten()(x)]))
    assert fused(net) is net


def test_the_same_bounds():
    keras.utils.set_random_seed(0)
    net = net_of(10, 12, 3, 3, activation="relu")
    x, y = tf.random.uniform((5, 10, 12, 3)), tf.constant([0, 1, 2, 3, 0])
    np.testing.assert_allclose(worst_logits(fused(net), x, y, 0.1), worst_logits(net, x, y, 0.1), atol=1e-5)
