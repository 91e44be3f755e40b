"""Gradients that TensorFlow computes wrongly on a machine are found; the registered nets have no such gradients."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.models import MODELS
from robust_tf.refusal import Refusal
from robust_tf.training import gradient_check
from robust_tf.training.gradient_check import check_gradients, gradient, wrong

LAYERS = {
    "strided": lambda: keras.layers.Conv2D(8, 1, strides=2, name="odd"),
    "depthwise": lambda: keras.layers.DepthwiseConv2D(1, strides=2, name="odd"),
}


def net_of(layer, channels=4):
    return keras.Sequential([keras.Input((12, 12, channels)), layer, keras.layers.Flatten(), keras.layers.Dense(3)])


@pytest.mark.parametrize("kind", LAYERS)
def test_a_wrong_gradient_is_refused(monkeypatch, kind):
    """A machine that forgets the stride when it looks for its pixels."""
    right = gradient

    def forgets(operation, x, kernel, stride):
        return right(operation, x[:, : x.shape[1] // stride, : x.shape[2] // stride], kernel, 1)

    monkeypatch.setattr(gradient_check, "gradient", forgets)
    with pytest.raises(
        Refusal, match="got odd, a 1x1 convolution with stride 2, whose gradient oneDNN computes wrongly"
    ):
        check_gradients(net_of(LAYERS[kind]()))


@pytest.mark.parametrize("kind", LAYERS)
def test_the_verdict_by_arithmetic(kind):
    """What this machine's TensorFlow does, right or wrong, against the sum over pixels written out."""
    layer = LAYERS[kind]()
    net_of(layer)
    x = np.random.default_rng(0).normal(size=(4, 12, 12, 4)).astype(np.float32)
    operation = tf.nn.depthwise_conv2d if kind == "depthwise" else tf.nn.conv2d
    kernel = layer.trainable_weights[0]
    z_shape = (4, 6, 6, 4 if kind == "depthwise" else 8)
    weights = np.sin(np.arange(np.prod(z_shape), dtype=np.float32)).reshape(z_shape)
    seen = x[:, ::2, ::2]
    exact = np.einsum("bhwc,bhwc->c" if kind == "depthwise" else "bhwc,bhwk->ck", seen, weights).reshape(kernel.shape)
    got = gradient(operation, tf.constant(x), kernel, 2).numpy()
    right = np.abs(got - exact).max() < 1e-3 * np.abs(exact).max()
    assert wrong(layer) != right


def test_without_onednn_all_is_right():
    program = (
        "import os; os.environ['TF_ENABLE_ONEDNN_OPTS'] = '0'\n"
        "from tests.training.test_gradient_check import LAYERS, net_of\n"
        "from robust_tf.training.gradient_check import check_gradients\n"
        "[check_gradients(net_of(make())) for make in LAYERS.values()]"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["resnet8", "wrn_10_1"])
def test_narrow_nets_have_no_such_layer(name):
    """With a quarter of the width their shortcuts have four channels."""
    check_gradients(MODELS[name]((12, 12, 3), 10, width=0.25))
