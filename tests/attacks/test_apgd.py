"""Auto-PGD: its checkpoints by hand, the worst case of linear nets, and an independent loop in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.attacks.apgd import apgd_ce, checkpoints, dlr, targeted_dlr, wrong_classes
from robust_tf.attacks.margin import margin
from robust_tf.attacks.seeds import derived, of_images

W = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


def linear(x):
    return tf.reshape(x, (-1, 12)) @ W


def bent(x):
    """A net whose gradient changes sign inside the ball."""
    return tf.sin(3 * tf.reshape(x, (-1, 12))) @ W


def images(logits_fn, count=40):
    """Images with their predicted labels, so that none is broken at the start."""
    x = np.random.default_rng(1).uniform(0.2, 0.8, (count, 4, 3, 1)).astype(np.float32)
    y = np.argmax(logits_fn(x), -1)
    return tf.constant(x), y


def test_checkpoints_are_those_of_the_paper():
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1) == [1]


def test_linear_nets_of_two_classes_are_broken_where_they_can_be():
    """The least margin over the ball is m - eps ||w_y - w_i||_1 where [0, 1] does not bind."""
    two = lambda x: linear(x)[:, :2]
    x, y = images(two)
    eps = 0.05
    least = margin(two(x), y).numpy() - eps * np.abs(W[:, 0] - W[:, 1]).sum()
    x_adv = apgd_ce(two, x, y, eps=eps, steps=30)
    found = margin(two(x_adv), y).numpy()
    assert 0.2 < (least < 0).mean() < 0.9
    np.testing.assert_array_equal(found < 0, least < 0)
    np.testing.assert_allclose(found[least > 0], least[least > 0], atol=1e-4)


def reference(x, y, eps, steps, seed):
    """The algorithm for one image, spelled out; returns the best loss."""

    def measure(point):
        with tf.GradientTape() as tape:
            point = tf.constant(point)
            tape.watch(point)
            z = bent(point)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits([y], z)
        return float(loss[0]), tape.gradient(loss, point).numpy(), int(np.argmax(z)) != y

    def project(point):
        return np.clip(np.clip(point, x - eps, x + eps), 0, 1).astype(np.float32)

    now = project(seed)
    before, alpha, rises, halved = now, 2 * eps, 0, True
    loss, grad, _ = measure(now)
    best, best_loss, best_grad, then = now, loss, grad, loss
    at, last = checkpoints(steps), 0
    for k in range(steps):
        z = project(now + alpha * np.sign(grad))
        new = z if k == 0 else project(now + 0.75 * (z - now) + 0.25 * (now - before))
        new_loss, new_grad, _ = measure(new)
        rises += new_loss > loss
        if new_loss > best_loss:
            best, best_loss, best_grad = new, new_loss, new_grad
        before, now, loss, grad = now, new, new_loss, new_grad
        if k + 1 in at:
            gap, last = k + 1 - last, k + 1
            if rises < 0.75 * gap or (not halved and best_loss <= then):
                alpha, halved, now, grad = alpha / 2, True, best, best_grad
            else:
                halved = False
            rises, then = 0, best_loss
    return best_loss


def test_the_batch_is_the_algorithm_image_by_image():
    """On images that it does not break, where the loop runs to its end."""
    x, y = images(bent)
    eps, steps = 0.04, 30
    x_adv = apgd_ce(bent, x, y, eps=eps, steps=steps, seed=3)
    robust = np.flatnonzero(np.argmax(bent(x_adv), -1) == y)[:4]
    assert len(robust) == 4
    seeds = derived(of_images(3, range(len(y))), 0, 0)
    t = np.stack([tf.random.stateless_uniform(x.shape[1:], seed, -1.0, 1.0) for seed in seeds])
    start = x + eps * t / np.abs(t).max(axis=(1, 2, 3), keepdims=True)
    for n in robust:
        expected = reference(x[n : n + 1].numpy(), int(y[n]), eps, steps, start[n : n + 1])
        got = tf.nn.sparse_softmax_cross_entropy_with_logits(y[n : n + 1], bent(x_adv[n : n + 1]))
        assert float(got[0]) == pytest.approx(expected, rel=1e-4)


def test_restarts_attack_only_what_is_left():
    x, y = images(bent)
    one = apgd_ce(bent, x, y, eps=0.08, steps=5)
    three = apgd_ce(bent, x, y, eps=0.08, steps=5, restarts=3)
    broken = margin(bent(one), y).numpy() < 0
    assert broken.any()
    np.testing.assert_array_equal(three.numpy()[broken], one.numpy()[broken])
    assert (margin(bent(three), y).numpy() < 0).sum() >= broken.sum()


def test_ratios_by_hand():
    z = tf.constant([[5.0, 1.0, 3.0, 2.0, 0.0], [5.0, 1.0, 3.0, 2.0, 0.0]])
    np.testing.assert_allclose(dlr(z, [0, 2], None), [-(5 - 3) / (5 - 2), -(3 - 5) / (5 - 2)], rtol=1e-6)
    np.testing.assert_allclose(targeted_dlr(z, [0, 2], [3, 4]), [-(5 - 2) / (5 - 1.5), -(3 - 0) / (5 - 1.5)], rtol=1e-6)
    np.testing.assert_array_equal(wrong_classes(z, [0, 2]), [[2, 3, 1, 4], [0, 3, 1, 4]])


def test_gradients_of_the_ratios_by_hand():
    """-N/D has the gradient -N'/D + N D'/D^2."""
    z = tf.constant([[5.0, 1.0, 3.0, 2.0, 0.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        losses = dlr(z, [0], None), targeted_dlr(z, [0], [3])
    N, D = 2, 3  # z_0 - z_2, z_0 - z_3
    np.testing.assert_allclose(
        tape.gradient(losses[0], z), [[-1 / D + N / D**2, 0, 1 / D, -N / D**2, 0]], rtol=1e-5, atol=1e-7
    )
    N, D = 3, 3.5  # z_0 - z_3, z_0 - (z_3 + z_1) / 2
    np.testing.assert_allclose(
        tape.gradient(losses[1], z), [[-1 / D + N / D**2, -N / D**2 / 2, 0, 1 / D - N / D**2 / 2, 0]], rtol=1e-5,
        atol=1e-7,
    )  # fmt: skip


def test_ratios_do_not_change_with_the_scale_or_shift_of_the_logits():
    z = tf.constant(np.random.default_rng(0).normal(size=(6, 5)), tf.float32)
    y, target = tf.constant([0, 1, 2, 3, 4, 0]), tf.constant([1, 2, 3, 4, 0, 4])
    for ratio in (dlr, targeted_dlr):
        np.testing.assert_allclose(ratio(100 * z + 7, y, target), ratio(z, y, target), rtol=1e-3)
