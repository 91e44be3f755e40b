"""SPSA queries the points that its formulas, spelled out, query."""

import numpy as np
import tensorflow as tf

from robust_tf.attacks.margin import margin
from robust_tf.attacks.spsa import spsa

W = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
EPS, STEPS, SAMPLES, DELTA, RATE = 0.05, 4, 35, 0.01, 0.02  # samples: of more than one random integer


def bent(x):
    return tf.sin(3 * tf.reshape(x, (-1, 6))) @ W


def images(count=5):
    x = np.random.default_rng(1).uniform(0.02, 0.98, (count, 3, 2, 1)).astype(np.float32)
    return x, np.argmax(bent(x), -1)


def queried(x, y, offset):
    """The points at which the attack asks for scores, in order; `offset` is added to the scores of the class y."""
    points = []

    def scores(x):
        own = tf.one_hot(np.tile(y, 2), 3)[: tf.shape(x)[0]]
        kept = tf.py_function(lambda x: points.append(x.numpy()) or 0, [x], tf.int32)
        with tf.control_dependencies([kept]):
            return bent(tf.identity(x)) + offset * own

    x_adv = spsa(scores, x, y, eps=EPS, steps=STEPS, samples=SAMPLES, delta=DELTA, learning_rate=RATE, seed=2)
    return points, x_adv.numpy()


def test_it_is_adam_on_differences_along_random_signs():
    x, y = images()
    points, x_adv = queried(x, y, offset=10.0)  # no image is ever misclassified
    assert len(points) == 1 + STEPS * (SAMPLES + 1)
    np.testing.assert_array_equal(points[0], x)
    margins = lambda at: margin(bent(at), y).numpy()
    now, m, v, best, least, signs = x, 0.0, 0.0, x, margins(x), []
    for t in range(STEPS):
        pairs = points[1 + t * (SAMPLES + 1) :][:SAMPLES]
        total = 0.0
        for pair in pairs:
            ahead, behind = np.split(pair, 2)
            sign = np.sign(ahead - behind)
            np.testing.assert_allclose(ahead, now + DELTA * sign, atol=1e-6)
            np.testing.assert_allclose(behind, now - DELTA * sign, atol=1e-6)
            slope = (margins(ahead) - margins(behind)) / (2 * DELTA)
            total = total + slope[:, None, None, None] * sign
            signs.append(sign)
        g = total / SAMPLES
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = RATE * (m / (1 - 0.9 ** (t + 1))) / (np.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8)
        now = np.clip(np.clip(now - step, x - EPS, x + EPS), 0, 1)
        reached = points[(t + 1) * (SAMPLES + 1)]
        np.testing.assert_allclose(reached, now, atol=1e-4)
        now = reached
        better = margins(now) < least
        best, least = np.where(better[:, None, None, None], now, best), np.minimum(least, margins(now))
    np.testing.assert_allclose(x_adv, best, atol=1e-6)
    signs = np.array(signs)  # [steps * samples, B, 3, 2, 1]
    assert len(np.unique(signs.reshape(len(signs), -1), axis=0)) == len(signs)
    assert np.abs(signs.mean(0)).max() < 0.35  # of 140 signs


def test_a_tie_is_not_yet_misclassified():
    asked = []

    def scores(x):
        kept = tf.py_function(lambda x: asked.append(x) or 0, [x], tf.int32)
        with tf.control_dependencies([kept]):
            return tf.zeros((tf.shape(x)[0], 3))

    x, y = images()
    spsa(scores, x, y, eps=EPS, steps=2, samples=3)
    assert len(asked) == 1 + 2 * (3 + 1)


def test_it_ends_when_every_image_is_misclassified():
    x, y = images()
    points, x_adv = queried(x, y, offset=-10.0)
    assert len(points) == 1
    np.testing.assert_array_equal(x_adv, x)
