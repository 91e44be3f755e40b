"""Columns of a grey image as channels: the same function, where it fits."""

import numpy as np
import pytest
import tf_keras as keras

from robust_tf.export.columns import columns_as_channels, number_of_columns, packed

layers = keras.layers


def net_of(shape, conv):
    return keras.Sequential([keras.Input(shape), conv, layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(3)])


@pytest.mark.parametrize(
    ("width", "kernel", "columns"), [(12, (3, 5), 4), (10, (2, 3), 2), (16, (1, 1), 8), (14, 8, 7), (9, (4, 4), 3)]
)
@pytest.mark.parametrize("use_bias", [True, False])
def test_the_function_stays(width, kernel, columns, use_bias):
    keras.utils.set_random_seed(0)
    conv = layers.Conv2D(3, kernel, activation="relu", use_bias=use_bias, bias_initializer="normal", name="conv")
    net = net_of((9, width, 1), conv)
    assert number_of_columns(conv) == columns
    twin = columns_as_channels(net)
    assert twin.get_layer("conv").kernel.shape[2:] == (columns, 3 * columns)
    x = np.random.default_rng(0).random((5, 9, width, 1), np.float32)
    np.testing.assert_allclose(twin(x), net(x), atol=1e-5)


def test_the_packed_kernel_by_hand():
    """Two columns, a window of two: y[2X] = a x[2X] + b x[2X + 1], y[2X + 1] = a x[2X + 1] + b x[2X + 2]."""
    a, b = 2.0, 3.0
    W = packed(np.array([[[[a]], [[b]]]]), 2)  # [1, T, r, q]
    np.testing.assert_array_equal(W[0], [[[a, 0], [b, a]], [[0, b], [0, 0]]])


@pytest.mark.parametrize(
    ("shape", "conv"),
    [
        ((8, 8, 3), layers.Conv2D(2, 3)),
        ((8, 8, 1), layers.Conv2D(2, 3, padding="same")),
        ((8, 8, 1), layers.Conv2D(2, 3, strides=2)),
        ((8, 9, 1), layers.Conv2D(2, 3)),
        ((8, 8, 1), layers.DepthwiseConv2D(3)),
        ((8, 8, 1), layers.Conv2D(4, 1, activation="softmax")),
    ],
)
def test_what_does_not_fit_stays_as_it_is(shape, conv):
    net = net_of(shape, conv)
    assert columns_as_channels(net) is net
