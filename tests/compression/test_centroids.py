"""Codebooks whose values train."""

import numpy as np
import tensorflow as tf

from robust_tf.compression.centroids import Centroids


def test_the_weights_of_a_value_move_to_their_mean_and_zeros_stay():
    w = tf.Variable([[1.0, 0.0], [1.0, -2.0], [0.0, -2.0], [1.0, 3.0]])
    held = Centroids([w])
    w.assign([[2.0, 5.0], [1.0, -1.0], [7.0, -4.0], [3.0, 4.0]])
    held.project()
    np.testing.assert_array_equal(w, [[2, 0], [2, -2.5], [0, -2.5], [2, 4]])
    held.project()
    np.testing.assert_array_equal(w, [[2, 0], [2, -2.5], [0, -2.5], [2, 4]])


def test_a_gradient_step_is_one_on_the_values():
    """Descending f(w) = sum g * w by w - r g and projecting moves each value by r times its weights' mean gradient."""
    rng = np.random.default_rng(0)
    values = rng.choice([0.0, 1.0, -1.5], size=(5, 4)).astype(np.float32)
    g = rng.normal(size=(5, 4)).astype(np.float32)
    w = tf.Variable(values)
    held = Centroids([w])
    w.assign_sub(0.1 * g)
    tf.function(held.project)()
    for value in (1.0, -1.5):
        np.testing.assert_allclose(w.numpy()[values == value], value - 0.1 * g[values == value].mean(), rtol=1e-5)
    assert (w.numpy()[values == 0] == 0).all()


def test_the_assignments_are_not_trained():
    held = Centroids([tf.Variable([[1.0, 0.0], [1.0, -2.0]])])
    assert [w.ref() for w in held.trainable_variables] == [held.W[0].ref()]


def test_an_all_zero_kernel_stays_so():
    w = tf.Variable(tf.zeros((2, 2)))
    held = Centroids([w])
    w.assign(tf.ones((2, 2)))
    held.project()
    np.testing.assert_array_equal(w, 0)
