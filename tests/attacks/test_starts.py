"""Where training's attacks start: in the ball, with the structure they are named after, seeded."""

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.attacks import STARTS
from robust_tf.attacks.starts import start

SHAPE = (5, 9, 6, 2)


def delta(name, seed=(1, 2), norm="linf"):
    return STARTS[name](tf.constant(SHAPE), 0.25, norm, tf.constant(seed)).numpy()


@pytest.mark.parametrize("name", STARTS)
def test_starts_are_seeded_and_in_the_ball(name):
    assert delta(name).shape == SHAPE
    assert np.abs(delta(name)).max() <= 0.25
    np.testing.assert_array_equal(delta(name), delta(name))
    assert (delta(name) != delta(name, seed=(1, 3))).any()


def test_stripes_run_down_the_image():
    d = delta("stripes")
    np.testing.assert_array_equal(np.abs(d), 0.25)
    np.testing.assert_array_equal(d, np.broadcast_to(d[:, :1], SHAPE))
    assert len({tuple(row) for row in d[:, 0].reshape(5, -1)}) == 5


def test_blocks_are_four_by_four():
    d = delta("blocks")
    np.testing.assert_array_equal(np.abs(d), 0.25)
    for top in range(0, 9, 4):
        for left in range(0, 6, 4):
            block = d[:, top : top + 4, left : left + 4]
            np.testing.assert_array_equal(block, np.broadcast_to(block[:, :1, :1], block.shape))
    assert 0.3 < (d > 0).mean() < 0.7


def test_the_gaussian_is_small():
    d = STARTS["gaussian"](tf.constant((100, 5, 5, 1)), 0.3, "linf", tf.constant([0, 1])).numpy()
    assert d.std() == pytest.approx(0.001, rel=0.1)


def test_each_image_draws_one_of_the_named_starts():
    x = tf.fill((300, 4, 4, 1), 0.5)
    d = start(x, 0.25, "linf", tf.constant([0, 1]), ("uniform", "stripes")).numpy() - 0.5
    striped = (np.abs(d) > 0.2499).all(axis=(1, 2, 3))
    assert 0.4 < striped.mean() < 0.6
    np.testing.assert_array_equal(d[striped], np.broadcast_to(d[striped][:, :1], d[striped].shape))


@pytest.mark.parametrize("names", [("blocks",), ("uniform", "stripes")])
def test_a_part_of_a_batch_starts_as_in_the_whole_batch(names):
    x, seed = tf.fill((6, 4, 4, 1), 0.5), tf.constant([0, 1])
    whole = start(x, 0.25, "linf", seed, names)
    for part in range(3):
        own = slice(2 * part, 2 * part + 2)
        np.testing.assert_array_equal(start(x[own], 0.25, "linf", seed, names, share=(part, 3)), whole[own])


def test_no_start_is_the_image_and_every_start_is_an_image():
    x = tf.random.stateless_uniform(SHAPE, (0, 0))
    np.testing.assert_array_equal(start(x, 0.3, "linf", tf.constant([0, 1]), ()), x)
    for name in STARTS:
        started = start(x, 0.3, "linf", tf.constant([0, 1]), (name,)).numpy()
        assert started.min() >= 0
        assert started.max() <= 1
