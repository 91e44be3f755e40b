"""Every net: its kernel counts as the papers have them, and logits that are no probabilities."""

import numpy as np
import pytest

from robust_tf.models import MODELS
from robust_tf.models.kernels import kernels


def test_lenet_has_the_papers_weights():
    net = MODELS["lenet"]((28, 28, 1), 10)
    assert [w.shape.num_elements() for w in kernels(net)] == [500, 25000, 400000, 5000]
    assert net.count_params() == 431080


@pytest.mark.parametrize("conv_relu", [False, True])
def test_conv_relu_is_where_the_nets_differ(conv_relu, digits):
    net = MODELS["lenet"]((28, 28, 1), 10, conv_relu=conv_relu)
    assert (net.get_layer("conv1").activation.__name__ == "relu") == conv_relu


@pytest.mark.parametrize("name", MODELS)
def test_nets_return_logits(name):
    net = MODELS[name]((28, 20, 3), 7, width=0.5)
    logits = net(np.random.default_rng(0).random((4, 28, 20, 3), np.float32)).numpy()
    assert logits.shape == (4, 7)
    assert (logits < 0).any()
    assert np.abs(logits.sum(-1) - 1).max() > 1e-3
