"""Losses against closed forms."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from robust_tf.training import LOSSES
from robust_tf.training.losses import CrossEntropy, balanced, divergence, small_box

logits = st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=3)


def softmax(z):
    e = np.exp(np.array(z, float) - np.max(z))
    return e / e.sum()


@given(logits, logits)
def test_the_divergence(z, z_adv):
    p, q = softmax(z), softmax(z_adv)
    expected = np.sum(p * np.log(p / q))
    assert float(divergence(tf.constant([z]), tf.constant([z_adv]))[0]) == pytest.approx(expected, abs=1e-4)


def test_mix_and_trades():
    y, z, z_adv = np.array([0, 2]), tf.constant([[2.0, 0, 0], [1, 1, 1]]), tf.constant([[0.0, 1, 0], [3, 0, 0]])
    ce = CrossEntropy()
    clean = -np.mean(np.log([softmax(z[0])[0], softmax(z[1])[2]]))
    adversarial = -np.mean(np.log([softmax(z_adv[0])[0], softmax(z_adv[1])[2]]))
    mix = LOSSES["mix"].resolve().value(ce, y, z, z_adv, 0.9, 6.0)
    assert float(mix) == pytest.approx(0.9 * adversarial + 0.1 * clean, rel=1e-5)
    apart = np.mean([np.sum(softmax(a) * np.log(softmax(a) / softmax(b))) for a, b in zip(z, z_adv)])
    trades = LOSSES["trades"].resolve().value(ce, y, z, z_adv, 0.9, 6.0)
    assert float(trades) == pytest.approx(clean + 6 * apart, rel=1e-5)


def test_trades_ascends_from_fixed_logits():
    """Its gradient is that of KL(p || softmax(z_adv)) with p constant: softmax(z_adv) - p."""
    z, z_adv = tf.constant([[2.0, 0, 0]]), tf.constant([[0.0, 1, 0]])
    objective = LOSSES["trades"].resolve().ascends(z)
    with tf.GradientTape() as tape:
        tape.watch([z, z_adv])
        value = objective(z_adv)
    gradient = tape.gradient(value, [z, z_adv])
    assert gradient[0] is None
    np.testing.assert_allclose(gradient[1][0], softmax(z_adv[0]) - softmax(z[0]), atol=1e-6)


@given(
    st.tuples(*[st.floats(0, 1, width=32)] * 2), st.floats(0, 1), st.floats(0.01, 0.5), st.sampled_from([0.1, 0.4, 1.0])
)
def test_sabrs_box_is_inside_the_ball_and_as_near_to_the_attacks_image_as_can_be(images, share, eps, part):
    x, other = images
    x_adv = np.clip(other, x - eps, x + eps) * share + x * (1 - share)
    centre, radius = (float(value) for value in small_box(np.float32(x), np.float32(x_adv), eps, part))
    assert radius == pytest.approx(part * eps)
    assert x - eps - 1e-6 <= centre - radius <= centre + radius <= x + eps + 1e-6
    nearer = np.linspace(x - (eps - radius), x + (eps - radius), 101)
    assert abs(centre - x_adv) <= np.abs(nearer - x_adv).min() + 1e-6
    if part == 1:
        assert centre == pytest.approx(x, abs=1e-6)


def test_class_weights_balance_and_have_mean_1():
    y = np.array([0] * 6 + [2] * 2)
    w = balanced(y, 4)
    assert w[y].mean() == pytest.approx(1)
    assert w[y][y == 0].sum() == pytest.approx(w[y][y == 2].sum())
    assert w[[1, 3]].tolist() == [1, 1]
    np.testing.assert_array_equal(balanced(np.arange(3), 3), np.ones(3))


@pytest.mark.parametrize("loss", ["mix", "ibp", "trades"])
def test_class_weights_apply_to_all_parts_of_a_loss(loss):
    """The weighted loss of a batch is the weighted mean of the losses of its images."""
    z, z_adv = (np.random.default_rng(seed).normal(size=(5, 3)).astype(np.float32) for seed in (0, 1))
    y, w = np.array([0, 2, 1, 0, 0]), np.array([0.5, 3, 2])
    value = LOSSES[loss].resolve().value
    single = [value(CrossEntropy(), y[[i]], z[[i]], z_adv[[i]], 0.7, 6.0) for i in range(5)]
    ce = CrossEntropy(class_weights=w)
    weighted = value(ce, y, z, z_adv, 0.7, 6.0, weights=ce.weights(y))
    assert float(weighted) == pytest.approx(float(np.mean(w[y] * np.array(single))), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_label_smoothing(smoothing):
    z, y = np.array([[2.0, 0, -1], [0.5, 1, 0]], np.float32), np.array([0, 2])
    target = (1 - smoothing) * np.eye(3)[y] + smoothing / 3
    expected = -np.mean(np.sum(target * np.log([softmax(row) for row in z]), -1))
    assert float(CrossEntropy(smoothing)(y, tf.constant(z))) == pytest.approx(expected, rel=1e-5)
