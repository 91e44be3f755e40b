"""Thin layers in place of whole ones."""

import numpy as np
import pytest
import tf_keras as keras

from robust_tf.models.kernels import kernel_layers
from robust_tf.models.rewrite import split
from robust_tf.projections.low_rank import factors


def branching_net():
    """A strided and a padded convolution, a sum of branches, batch statistics, and a dense end."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    x = image = keras.Input((8, 6, 2))
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="stem")(x)
    y = layers.Conv2D(6, 3, padding="same", use_bias=False, name="branch")(x)
    x = layers.Add(name="sum")([x, layers.BatchNormalization(name="norm")(y)])
    return keras.Model(image, layers.Dense(3, name="logits")(layers.Flatten(name="flat")(x)))


@pytest.mark.parametrize("names", [("stem",), ("branch", "logits"), ("stem", "branch", "logits"), ()])
def test_full_rank_factors_leave_the_function(names):
    net = branching_net()
    net.get_layer("norm").set_weights([w + 0.1 for w in net.get_layer("norm").get_weights()])
    x = np.random.default_rng(0).random((4, 8, 6, 2), np.float32)
    W = {name: net.get_layer(name).kernel for name in names}
    full = {name: factors(w, min(np.prod(w.shape[:-1]), w.shape[-1])) for name, w in W.items()}
    thin = split(net, full)
    np.testing.assert_allclose(thin(x), net(x), atol=1e-4)
    assert len(kernel_layers(thin)) == 3 + len(names)
    assert [layer.name for layer in thin.layers if layer.name in names] == [
        n for n in ("stem", "branch", "logits") if n in names
    ]


def test_the_thin_net_trains_on_its_own():
    net = branching_net()
    thin = split(net, {"logits": factors(net.get_layer("logits").kernel, 1)})
    assert thin.get_layer("logits_thin").kernel.shape == (72, 1)
    assert thin.get_layer("logits").kernel.shape == (1, 3)
    before = net.get_weights()
    for w in thin.weights:
        w.assign(w + 1.0)
    for old, new in zip(before, net.get_weights()):
        np.testing.assert_array_equal(old, new)
