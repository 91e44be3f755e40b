"""Square: its schedule, that it needs scores alone, and that it finds what linear nets have to lose."""

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.attacks.margin import margin
from robust_tf.attacks.square import side, square

W = np.random.default_rng(0).normal(size=(24, 2)).astype(np.float32)


def linear(x):
    return tf.reshape(x, (-1, 24)) @ W


def rounded(x):
    """Scores without gradients."""
    return tf.round(1e4 * linear(x)) / 1e4


def images(count=16):
    x = np.random.default_rng(1).uniform(0.3, 0.7, (count, 4, 3, 2)).astype(np.float32)
    return tf.constant(x), np.argmax(linear(x), -1)


def test_the_schedule():
    assert [side(query, 0.8, 28, 28) for query in (1, 10, 11, 51, 201, 501, 1001, 2001, 4001)] == [
        25,
        25,
        18,
        13,
        9,
        6,
        4,
        3,
        2,
    ]
    for number, halving in enumerate((10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)):
        before, after = (round(1000 * np.sqrt(0.8 / 2**halvings)) for halvings in (number, number + 1))
        assert [side(query, 0.8, 1000, 1000) for query in (halving, halving + 1)] == [before, after]
    assert side(1, 0.8, 4, 100) == 4
    assert side(9999, 0.8, 8, 8) == 1


@pytest.mark.parametrize("scores", [linear, rounded])
def test_the_worst_case_of_a_two_class_linear_net(scores):
    """The least margin is m - eps ||w_y - w_i||_1; where it stays positive the search goes on to its end."""
    x, y = images()
    eps = 0.26
    least = margin(linear(x), y).numpy() - eps * np.abs(W[:, 0] - W[:, 1]).sum()
    safe = least > 0
    assert 3 < safe.sum() < 16
    x_adv = square(scores, x, y, eps=eps, queries=2000)
    found = margin(linear(x_adv), y).numpy()
    np.testing.assert_allclose(found[safe], least[safe], atol=1e-3)
    assert (found[~safe] < 0).mean() > 0.7


def test_more_queries_never_help_the_defender():
    x, y = images()
    margins = [margin(linear(square(linear, x, y, eps=0.02, queries=n)), y).numpy() for n in (1, 20, 120)]
    for more, fewer in zip(margins[1:], margins):
        assert (more <= fewer + 1e-6).all()


def test_queries_stay_in_corners_of_the_ball():
    """Where [0, 1] does not bind every pixel of a point that is not broken is +-eps off."""
    x, y = images()
    delta = square(linear, x, y, eps=0.02, queries=30).numpy() - x.numpy()
    np.testing.assert_allclose(np.abs(delta), 0.02, atol=1e-6)


@pytest.mark.parametrize("queries", [1, 50, 51, 103])
def test_every_query_is_one_evaluation(queries):
    """Of a net that nothing fools, after one of the images themselves."""
    x, y = images()
    asked = []

    def scores(x):
        kept = tf.py_function(lambda x: asked.append(x) or 0, [x], tf.int32)
        with tf.control_dependencies([kept]):
            return 10 * tf.one_hot(y, 2) + tf.identity(linear(x))

    square(scores, x, y, eps=0.02, queries=queries)
    assert len(asked) == 1 + queries


def test_the_first_query_is_stripes():
    x, y = images()
    delta = square(linear, x, y, eps=0.02, queries=1).numpy() - x.numpy()
    np.testing.assert_allclose(np.abs(delta), 0.02, atol=1e-6)
    np.testing.assert_allclose(delta, np.broadcast_to(delta[:, :1], delta.shape), atol=1e-6)
