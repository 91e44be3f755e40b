"""FAB: its projection against sorting, and the exact distance of linear nets."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_tf.attacks.fab import fab, fab_t, onto_hyperplane

W = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)


def linear(x):
    return tf.reshape(x, (-1, 12)) @ W


def images(count=30):
    x = np.random.default_rng(1).uniform(0.35, 0.65, (count, 4, 3, 1)).astype(np.float32)
    return tf.constant(x), np.argmax(linear(x), -1)


def distances(x, y):
    """min_i m_i / ||w_y - w_i||_1 of each image."""
    z, found = linear(x).numpy(), []
    for n, own in enumerate(y):
        others = [i for i in range(4) if i != own]
        found.append(min((z[n, own] - z[n, i]) / np.abs(W[:, own] - W[:, i]).sum() for i in others))
    return np.array(found)


def by_sorting(x, w, c):
    """The smallest t with sum |w_i| min(t, room_i) = |c|, from the sorted rooms; the corner where there is none."""
    direction = np.sign(c) * np.sign(w)
    room = np.where(direction > 0, 1 - x, np.where(direction < 0, x, 0.0))
    order = np.argsort(room)
    spent, weight = 0.0, np.abs(w).sum()
    last = 0.0
    for i in order:
        if weight > 0 and spent + weight * (room[i] - last) >= abs(c):
            return x + direction * np.minimum(last + (abs(c) - spent) / weight, room)
        spent += weight * (room[i] - last)
        weight -= abs(w[i])
        last = room[i]
    return x + direction * room


unit = st.lists(st.floats(0, 1, width=16), min_size=4, max_size=4)
normal = st.lists(st.integers(-8, 8), min_size=4, max_size=4)


@settings(deadline=None, max_examples=200)
@given(x=unit, w=normal, c=st.floats(-6, 6, width=16))
def test_the_projection_onto_a_hyperplane_in_the_box(x, w, c):
    x, w = np.array(x, np.float32), np.array(w, np.float32) / 4
    shaped = lambda v: tf.reshape(tf.constant(v, tf.float32), (1, 2, 2, 1))
    got = np.ravel(onto_hyperplane(shaped(x), shaped(w), tf.constant([c], tf.float32)))
    expected = by_sorting(x.astype(float), w.astype(float), c)
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("attack", [fab, fab_t])
def test_linear_nets_are_broken_exactly_where_they_can_be(attack):
    """The nearest boundary is at min_i m_i / ||w_y - w_i||_1 where [0, 1] does not bind."""
    x, y = images()
    distance = distances(x, y)
    eps = float(np.median(distance))
    x_adv = attack(linear, x, y, eps=eps, steps=20)
    found = np.argmax(linear(x_adv), -1) != y
    np.testing.assert_array_equal(found[distance < 0.9 * eps], True)
    np.testing.assert_array_equal(found[distance > eps], False)
    np.testing.assert_array_equal(x_adv.numpy()[~found], x.numpy()[~found])
    moved = np.abs(x_adv - x).max(axis=(1, 2, 3))[found]
    np.testing.assert_allclose(moved, distance[found], rtol=0.06)


def queried(x, y, **settings):
    """The points at which the attack asks for logits: x, then before and after each step; it finds nothing in eps."""
    points, eps = [], 0.5 * float(distances(x, y).min())

    def recorded(x):
        kept = tf.py_function(lambda x: points.append(x.numpy()) or 0, [tf.stop_gradient(x)], tf.int32)
        with tf.control_dependencies([kept]):
            return linear(tf.identity(x))

    fab(recorded, x, y, eps=eps, **settings)
    return points, eps


def test_a_restart_begins_halfway_to_the_border_of_the_ball():
    """At x + 0.5 eps t / max|t| while nothing was found."""
    x, y = images()
    points, eps = queried(x, y, steps=1, restarts=2)
    np.testing.assert_array_equal(points[1], x)
    np.testing.assert_allclose(np.abs(points[3] - x).max((1, 2, 3)), eps / 2, rtol=1e-4)


def test_a_step_goes_beyond_the_boundary_and_the_next_begins_nearer_to_the_image():
    """From x, 1.05 of the distance to the boundary; a misclassified point is moved back to 0.9 of its distance."""
    x, y = images()
    _, before, after, again, _ = queried(x, y, steps=2)[0]
    np.testing.assert_array_equal(before, x)
    np.testing.assert_allclose(np.abs(after - x).max((1, 2, 3)), 1.05 * distances(x, y), rtol=1e-3)
    assert (np.argmax(linear(after), -1) != y).all()
    np.testing.assert_allclose(again, x + 0.9 * (after - x), atol=1e-6)


def test_restarts_start_apart_and_keep_what_was_found():
    x, y = images()
    eps = float(np.median(distances(x, y)))
    one, three = (fab(linear, x, y, eps=eps, steps=3, restarts=n).numpy() for n in (1, 3))
    broken = np.argmax(linear(one), -1) != y
    assert broken.any()
    np.testing.assert_array_equal(three[broken], one[broken])
