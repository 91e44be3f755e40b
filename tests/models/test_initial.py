"""Random kernels with which training starts."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.certification.bounds import propagate
from robust_tf.data import described
from robust_tf.flags.declare import parse
from robust_tf.models.build import build
from robust_tf.models.initial import bounds_start
from robust_tf.models.kernels import kernels
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig


def net(*flags):
    keras.utils.set_random_seed(0)
    return build(parse(TrainConfig, ["--conv_relu", *flags]), described("digits", None, None))


def test_a_neuron_adds_up_weights_of_mean_size_2():
    """sum_i |w_i|, which for a bound's radius r is the factor in |W| r: 2 on average, halved by the ReLU."""
    found = net("--kernel_start=bounds")
    for W in kernels(found):
        assert np.abs(W).reshape(-1, W.shape[-1]).sum(0).mean() == pytest.approx(2, rel=0.15)
        assert abs(np.mean(W)) < 3 * np.std(W) / np.sqrt(W.shape.num_elements())
    assert any((a.numpy() != b.numpy()).all() for a, b in zip(kernels(found), kernels(net())))
    np.testing.assert_array_equal(kernels(found)[0], kernels(net("--kernel_start=bounds"))[0])


def test_bounds_do_not_widen_from_layer_to_layer():
    """Dense layers of 200, 5 deep: with the bounds' start about as wide as the image's, with Keras' 1,000 times."""
    keras.utils.set_random_seed(0)
    deep = keras.Sequential(
        [
            keras.Input((10, 10, 2)),
            keras.layers.Flatten(),
            *(keras.layers.Dense(200, activation="relu") for _ in range(5)),
            keras.layers.Dense(3),
        ]
    )
    x = tf.random.stateless_uniform((20, 10, 10, 2), (0, 0))
    widths = []
    for start in (lambda net: None, bounds_start):
        start(deep)
        low, high = propagate(deep, x - 0.01, x + 0.01)
        widths.append(float(tf.reduce_mean(high - low)) / 0.02)
    assert widths[0] > 1000
    assert 0.3 < widths[1] < 3


def test_depthwise_kernels_have_as_many_inputs_as_their_window():
    image = keras.Input((8, 8, 400))
    wide = keras.Model(image, keras.layers.DepthwiseConv2D(3)(image))
    bounds_start(wide)
    assert np.abs(kernels(wide)[0]).sum((0, 1)).mean() == pytest.approx(2, rel=0.1)


def test_a_trained_net_has_no_random_kernels():
    with pytest.raises(Refusal, match=r"^--kernel_start: expected a net without trained weights with it; got --model="):
        parse(TrainConfig, ["--model=x.keras", "--kernel_start=bounds"])
