"""APGD queries the points that a transcription of the paper's Algorithm 1 (arXiv 2003.01690) queries."""

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.attacks.apgd import apgd_ce, apgd_dlr, apgd_t, cross_entropy, dlr, targeted_dlr, wrong_classes

SHAPE, CLASSES, EPS, STEPS = (3, 3, 1), 5, 0.2, 20


def wavy_net(scale=0.05):
    """Logits whose loss has many maxima in the ball, so that steps are halved; none of `images` is misclassified."""
    rng = np.random.default_rng(0)
    first, second = (tf.constant(rng.normal(size=size), tf.float32) for size in ((9, 30), (30, CLASSES)))
    offset = tf.constant([2.0, 0, 0, 0, 0])  # class 0 always wins

    def logits(x):
        return offset + scale * tf.sin(tf.reshape(x, (-1, 9)) @ first) @ second

    return logits


def images():
    return tf.constant(np.random.default_rng(1).random((8, *SHAPE)), tf.float32)


def queried(attack, logits_fn, x, y):
    """The points at which an attack asks for the logits of all images, [queries, B, ...]."""
    points = []

    def recorded(x):
        kept = tf.py_function(lambda x: points.append(x.numpy()) or 0, [tf.stop_gradient(x)], tf.int32)
        with tf.control_dependencies([kept]):
            return logits_fn(tf.identity(x))

    attack(recorded, x, y, eps=EPS, steps=STEPS)
    return np.stack([point for point in points if len(point) == len(x)])


def transcribed(f, x, start):
    """Algorithm 1 for one image, f: point -> (loss, gradient). Returns the points in order, and how often each of its
    two conditions alone halved the step."""
    project = lambda point: np.clip(point, np.maximum(x - EPS, 0), np.minimum(x + EPS, 1)).astype(np.float32)
    checks = {}  # checkpoint -> the one before it, in whole steps as the authors' code counts them
    gap, least, shrink = (max(int(share * STEPS), 1) for share in (0.22, 0.06, 0.03))
    step, last = gap, 0
    while step <= STEPS:
        checks[step] = last
        gap, last = max(gap - shrink, least), step
        step += gap

    alpha, halved_before, alone = np.float32(2 * EPS), True, np.zeros(2)
    points, now, before = [start], start, start
    loss, grad = f(start)
    best, best_loss, best_grad, best_then, rises = start, loss, grad, loss, 0
    for k in range(STEPS):
        z = project(now + alpha * np.sign(grad))
        new = z if k == 0 else project(now + np.float32(0.75) * (z - now) + np.float32(0.25) * (now - before))
        points.append(new)
        new_loss, new_grad = f(new)
        rises += new_loss > loss
        if new_loss > best_loss:
            best, best_loss, best_grad = new, new_loss, new_grad
        before, now, loss, grad = now, new, new_loss, new_grad
        if k + 1 in checks:
            too_few = rises < 0.75 * (k + 1 - checks[k + 1])
            stuck = not halved_before and best_loss <= best_then
            halved_before = too_few or stuck
            alone += (too_few and not stuck, stuck and not too_few)
            if halved_before:
                alpha, now, grad = alpha / 2, best, best_grad
            best_then, rises = best_loss, 0
    return points, alone


@pytest.mark.parametrize(
    ("attack", "loss_of"),
    [(apgd_ce, cross_entropy), (apgd_dlr, dlr), (apgd_t, targeted_dlr)],
    ids=lambda each: each.__name__,
)
def test_apgd_is_algorithm_1(attack, loss_of):
    net, x = wavy_net(), images()
    y = tf.zeros(len(x), tf.int32)
    target = wrong_classes(net(x), y)[:, 0]
    points = queried(attack, net, x, y)
    first = next(i for i, batch in enumerate(points) if not np.array_equal(batch, x))
    halved = np.zeros(2)

    @tf.function
    def measured(point, y, target):
        with tf.GradientTape() as tape:
            tape.watch(point)
            loss = loss_of(net(point), y, target)
        return loss[0], tape.gradient(loss, point)[0]

    for i in range(len(x)):

        def f(point, of=(y[i : i + 1], target[i : i + 1])):
            return [each.numpy() for each in measured(tf.constant(point[None]), *of)]

        wanted, alone = transcribed(f, x[i].numpy(), points[first][i])
        np.testing.assert_allclose(points[first : first + STEPS + 1, i], np.stack(wanted), atol=2e-6)
        halved += alone
    assert np.all(halved > 0)  # both conditions were at work
