"""Saliency and usefulness on nets whose answers are known."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.evaluation.modes.usefulness import correlations
from robust_tf.evaluation.saliency import grad_cam, gradients

layers = keras.layers


def test_the_gradient_of_a_linear_net_is_its_weights():
    net = keras.Sequential([keras.Input((3, 4, 2)), layers.Flatten(), layers.Dense(2)])
    x, y = tf.random.uniform((5, 3, 4, 2)), tf.constant([0, 1, 0, 1, 1])
    w = np.abs(net.layers[-1].kernel.numpy().T.reshape(2, 3, 4, 2)).max(-1)
    np.testing.assert_allclose(gradients(net, x, y), w[y.numpy()], rtol=1e-5)


def test_grad_cam_by_hand():
    """Logits that are means of two feature maps, one a class: the map is that feature, scaled to the image's size."""
    net = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(2, 2, 2, use_bias=False),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    net.layers[-1].set_weights([np.eye(2), np.zeros(2)])
    x, y = tf.random.uniform((3, 4, 4, 1)), tf.constant([0, 1, 1])
    A = tf.gather(net.layers[0](x), y, axis=-1, batch_dims=1)  # [3, 2, 2]
    expected = tf.image.resize(tf.nn.relu(A / 4)[..., None], (4, 4))[..., 0]
    np.testing.assert_allclose(grad_cam(net, x, y), expected, atol=1e-6)
    assert grad_cam(keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten(), layers.Dense(2)]), x, y) is None


def test_usefulness_of_features_that_one_can_see_through():
    """A label itself, its opposite, one that the attack turns round, and one that never varies."""
    y = np.array([0, 0, 1, 1])
    f = np.stack([y, -y, y, np.zeros(4)], 1).astype(float)
    attacked = np.stack([y, -y, 1 - y, np.zeros(4)], 1).astype(float)
    clean, robust = correlations(f, attacked, y)
    assert clean == pytest.approx([1, 1, 1])
    assert robust == pytest.approx([1, 1, -1])
