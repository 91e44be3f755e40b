"""Which images are certified: those whose bounds say so, in batches of any size; nothing where there are no bounds."""

import numpy as np
import pytest
import tf_keras as keras

from robust_tf.certification.bounds import UNIT, worst_logits
from robust_tf.certification.certified import certifiable, certified

EPS = 0.02


def net_of(activation="relu"):
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Conv2D(4, 2, activation=activation), keras.layers.Flatten(), keras.layers.Dense(4)]
    return keras.Sequential([keras.Input((5, 4, 1)), *layers])


def images():
    return np.random.default_rng(0).integers(0, 256, (40, 5, 4, 1)).astype(np.uint8)


@pytest.mark.parametrize("batch_size", [500, 13])
def test_an_image_is_certified_if_its_worst_logits_give_its_class(batch_size):
    net, x = net_of(), images()
    y = net(x / 255).numpy().argmax(-1)
    worst = worst_logits(net, x / np.float32(255), y, EPS, UNIT).numpy()
    proven = [max(np.delete(row, own)) < 0 for row, own in zip(worst, y)]
    assert 0 < sum(proven) < len(x)
    np.testing.assert_array_equal(certified(net, x, y, EPS, "linf", batch_size), proven)
    assert not certified(net, x, (y + 1) % 4, EPS, "linf", batch_size).any()


@pytest.mark.parametrize("activation", ["relu", "swish"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_without_a_rule_for_all_layers_and_the_norm_nothing_is_certified(activation, norm):
    net, x = net_of(activation), images()
    known = (activation, norm) == ("relu", "linf")
    assert certifiable(net, norm) == known
    assert (certified(net, x, np.zeros(len(x), int), EPS, norm) is not None) == known
