"""Accuracies: robust means correct under every attack, image by image."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.attacks import ATTACKS, Attack
from robust_tf.certification.certified import certified
from robust_tf.evaluation.accuracy import attacked, inference
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.evaluation.run import name_of
from robust_tf.evaluation.settings import resolved
from robust_tf.flags.declare import parse
from robust_tf.training.config import TrainConfig


def settings(*flags):
    """A resolved configuration: eps 0.1, 3 steps, unless flags say otherwise."""
    given = {flag.partition("=")[0]: flag for flag in ("--workdir=x", "--eps=0.1", "--steps=3", "--alpha=0.05", *flags)}
    return resolved(parse(EvaluateConfig, given.values()), parse(TrainConfig, []))


def nearest(x):
    """Logits of a net that reads the class off the brightness: class c at 25 c / 255."""
    return -((x[:, 0, 0] * 255 / 25 - np.arange(10, dtype=np.float32)) ** 2)


def break_even(logits_fn, x, y, *, eps):
    """Brightens the images with even labels by one class."""
    return tf.where((y % 2 == 0)[:, None, None, None], x + 25 / 255, x)


def break_threes(logits_fn, x, y, *, eps, seed):
    """Brightens the images of class 3; takes a seed, as `break_even` does not."""
    return tf.where((y == 3)[:, None, None, None], x + 25 / 255, x)


def test_robust_is_the_worst_for_each_image(monkeypatch):
    monkeypatch.setitem(ATTACKS, "even", Attack(address=f"{__name__}:break_even", random=False))
    monkeypatch.setitem(ATTACKS, "threes", Attack(address=f"{__name__}:break_threes"))
    labels = np.array([0, 1, 2, 3, 5, 3, 7, 9])
    images = (labels * 25).astype(np.uint8)[:, None, None, None]
    labels[-1] = 8  # misclassified without any attack
    done = []
    found = attacked(nearest, images, labels, ["even", "threes"], settings("--batch_size=3"), progress=done.append)
    survived = found.survived
    np.testing.assert_array_equal(found.clean, [1, 1, 1, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(survived["even"], [0, 1, 0, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(survived["threes"], [1, 1, 1, 0, 1, 0, 1, 0])
    assert set(found.seconds) == {"even", "threes"}
    assert found.moved == {"even": True, "threes": True}
    assert found.invalid == {"even": 0, "threes": 0}
    assert done == [3, 3, 3, 3, 2, 2]


def test_stronger_than_none_and_batches_agree(small_net, small_images):
    x, _ = small_images
    images = np.rint(x * 255).astype(np.uint8)
    logits_fn = inference(small_net)
    labels = logits_fn(images.astype(np.float32) / 255).numpy().argmax(-1)
    found = attacked(logits_fn, images, labels, ["fgsm"], settings("--eps=0.5", "--batch_size=3"))
    assert found.clean.all()
    assert not found.survived["fgsm"].all()
    again = attacked(logits_fn, images, labels, ["fgsm"], settings("--eps=0.5"))
    np.testing.assert_array_equal(found.survived["fgsm"], again.survived["fgsm"])
    at_zero = attacked(logits_fn, images, labels, ["fgsm", "pgd"], settings("--alpha=0"), eps=0.0)
    assert all(kept.all() for kept in at_zero.survived.values())
    assert at_zero.moved == {"fgsm": False, "pgd": False}


def make_no_image(logits_fn, x, y, **settings):
    return tf.where(tf.cast(y, tf.float32)[:, None, None, None] < 3, float("nan"), x + 0.1)


def test_what_is_no_image_breaks_nothing(monkeypatch):
    monkeypatch.setitem(ATTACKS, "broken", Attack(address=f"{__name__}:make_no_image"))
    labels = np.arange(6)
    images = (labels * 25).astype(np.uint8)[:, None, None, None]
    found = attacked(nearest, images, labels, ["broken"], settings("--batch_size=4"))
    np.testing.assert_array_equal(found.survived["broken"], labels < 3)
    assert found.invalid == {"broken": 3}


def test_different_attacks_have_different_names():
    changed = ["--eps=0.2", "--steps=4", "--alpha=0.01", "--restarts=2", "--seed=1", "--attacks=pgd"]
    names = {name_of(settings(*flags), 10) for flags in [[], *([flag] for flag in changed)]}
    assert len(names) == 7


def test_certified_images_of_a_linear_net():
    """z_1 - z_0 = 10 (x - 0.5): an image of class 1 is proven where x > 0.5 + eps."""
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    net.layers[-1].set_weights([np.array([[0.0, 10.0]]), np.array([0.0, -5.0])])
    images = np.array([100, 130, 150, 160, 200], np.uint8)[:, None, None, None]
    proven = certified(net, images, np.ones(5, int), eps=0.1, norm="linf", batch_size=2)
    np.testing.assert_array_equal(proven, [False, False, False, True, True])
    assert certified(net, images, np.ones(5, int), eps=0.1, norm="l2", batch_size=2) is None
    odd = keras.Sequential([*net.layers, keras.layers.Softmax()])
    assert certified(odd, images, np.ones(5, int), eps=0.1, norm="linf", batch_size=2) is None
