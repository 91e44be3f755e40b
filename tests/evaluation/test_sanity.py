"""Sanity flags: planted broken defences each raise theirs, an honest net raises none."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.evaluation.accuracy import Attacked
from robust_tf.evaluation.autoattack import autoattack
from robust_tf.evaluation.sanity import probe, sanity_flags, sequence_flags
from robust_tf.evaluation.sequence import Sequence

FAR = 0.5


def flags_after(moved=True, invalid=0, eps=0.1, **left):
    """Flags of 1,000 images, all correct without attack, of which each attack leaves the first so many."""
    survived = {name: np.arange(1000) < count for name, count in left.items()}
    every = np.ones(1000, bool)
    return sanity_flags(
        Attacked(every, survived, {}, dict.fromkeys(left, moved), dict.fromkeys(left, invalid)), eps
    )  # fmt: skip


def test_an_iterative_attack_that_misses_what_one_step_breaks():
    (flag,) = flags_after(fgsm=500, pgd=502)
    assert "2 images are broken by the single step of fgsm but not by pgd" in flag


def test_a_black_box_that_breaks_what_gradients_do_not():
    (flag,) = flags_after(pgd=800, ifgsm=700, square=600)
    assert "black box beats white box: accuracy is 70.0% after gradient attacks, 60.0% with square too" in flag


def test_attacks_that_move_nothing_or_make_no_images():
    assert "pgd changed no pixel" in flags_after(moved=False, pgd=900)[0]
    assert flags_after(moved=False, fab=900) == []  # it leaves what it cannot break as it is
    assert flags_after(moved=False, eps=0.0, pgd=900) == []
    assert "pgd made 1 image not finite" in flags_after(invalid=1, pgd=900)[0]
    assert "pgd made 3 images not finite, as are the net's gradients" in flags_after(invalid=3, pgd=900)[0]


def test_nothing_suspicious():
    assert flags_after(fgsm=700, pgd=600, square=590, spsa=900) == []
    assert flags_after(fgsm=601, pgd=602) == []  # one in a thousand
    assert flags_after(square=100) == []


def test_a_black_box_that_breaks_much_in_sequence():
    """AutoAttack's own sign: its last attack, which needs no gradient, breaks what the others left."""
    steps = autoattack(None, SimpleNamespace(version="standard", eps=0.1))

    def flags_of_counts(*left, invalid=(0, 0, 0, 0), **more):
        survived = np.array([np.arange(1000) < count for count in left])
        return sequence_flags(steps, Sequence(survived, np.zeros(4), np.array(invalid)), **more)

    assert flags_of_counts(950, 900, 890, 880, 870) == []
    (flag,) = flags_of_counts(950, 900, 890, 880, 830)
    assert "accuracy is 88.0% after gradient attacks, 83.0% with square too" in flag
    assert flags_of_counts(950, 900, 890, 880, 830, individually=True) == []
    assert "apgd_t made 4 images" in flags_of_counts(950, 900, 890, 880, 870, invalid=(0, 4, 0, 0))[0]


@pytest.fixture(scope="module")
def honest(digits):
    """A small net trained on digits, and what it is probed on."""
    x, y = digits
    keras.utils.set_random_seed(0)
    layers = keras.layers
    net = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(32, "relu"), layers.Dense(10)]
    )  # fmt: skip
    net.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.fit(x, y, batch_size=32, epochs=8, verbose=0)
    return net, np.rint(x * 255).astype(np.uint8), y


def flags_of(logits_fn, honest, norm="linf", eps=0.1):
    _, images, labels = honest
    return probe(logits_fn, images[:64], labels[:64], eps=eps, norm=norm, far=FAR)


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("l2", 1.0), ("linf", 0.0)])
def test_an_honest_net_raises_none(honest, norm, eps):
    assert flags_of(tf.function(honest[0]), honest, norm, eps) == []


def raised(flags, *signs):
    """Each of the signs is in one of the flags."""
    return all(any(sign in flag for flag in flags) for sign in signs)


def test_saturated_logits(honest):
    """A temperature so low that the softmax is exactly one-hot, and the cross-entropy flat."""
    flags = flags_of(tf.function(lambda x: 1e4 * honest[0](x)), honest)
    assert raised(flags, "gradient is zero", "black box beats white box")


def test_input_rounding(honest):
    flags = flags_of(tf.function(lambda x: honest[0](tf.round(4 * x) / 4)), honest)
    assert raised(flags, "gradient is zero", "black box beats white box", "where it should be at most")


def test_noise_at_inference(honest):
    noisy = tf.function(lambda x: honest[0](x + tf.random.normal(tf.shape(x), stddev=0.3)))
    assert raised(flags_of(noisy, honest), "outputs change from one call to the next")


def test_a_softmax_head(honest):
    assert raised(flags_of(tf.function(lambda x: tf.nn.softmax(honest[0](x))), honest), "look like probabilities")


def test_a_frozen_gradient(honest):
    flags = flags_of(tf.function(lambda x: honest[0](tf.stop_gradient(x))), honest)
    assert raised(flags, "gradient is zero", "black box beats white box", "where it should be at most")


def test_a_gradient_that_is_not_finite(honest):
    """The logarithm has an infinite slope at black pixels."""
    root = tf.function(lambda x: honest[0](tf.exp(tf.math.log(x) / 2)))
    assert raised(flags_of(root, honest), "not finite for 64 of 64")


def test_a_gradient_that_points_the_wrong_way(honest):
    """The more and the farther PGD steps, the better for the defender."""

    @tf.custom_gradient
    def turned(x):
        return tf.identity(x), lambda upstream: -upstream

    flags = flags_of(tf.function(lambda x: honest[0](turned(x))), honest, eps=0.05)
    assert raised(flags, "where it should be at most", "black box beats white box")


def test_a_defence_that_waits_for_strong_attacks(honest):
    """Far from its training images the net answers from the nearest of them: larger eps, higher accuracy."""
    net, images, labels = honest
    known = tf.reshape(tf.constant(images[:64] / 255, tf.float32), (64, -1))
    classes = tf.one_hot(labels[:64], 10)

    def guarded(x):
        distance = tf.reduce_max(tf.abs(tf.reshape(x, (-1, 1, 784)) - known), -1)  # [B, 64]
        nearest = tf.gather(classes, tf.argmin(distance, -1))
        return tf.where(tf.reduce_min(distance, -1, keepdims=True) > 0.15, 10 * nearest, net(x))

    assert raised(flags_of(tf.function(guarded), honest), "rises with eps")


def test_an_attack_that_moves_nothing(honest, monkeypatch):
    monkeypatch.setattr("robust_tf.evaluation.sanity.pgd", lambda logits_fn, x, y, **settings: x)
    assert raised(flags_of(tf.function(honest[0]), honest), "changed no pixel", "where it should be at most")


def test_more_steps_that_are_weaker(honest, monkeypatch):
    """An attack that wanders back to where it came from."""
    from robust_tf.attacks.pgd import pgd

    def wandering(logits_fn, x, y, *, steps, **settings):
        return tf.cond(steps > 1, lambda: x + 1e-3, lambda: pgd(logits_fn, x, y, steps=1, **settings))

    monkeypatch.setattr("robust_tf.evaluation.sanity.pgd", wandering)
    assert raised(flags_of(tf.function(honest[0]), honest, eps=0.2), "more steps make the attack weaker")
