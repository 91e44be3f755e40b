"""Accuracy on clean and on attacked images; robust means correct under every attack, image by image."""

import inspect
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from robust_tf.attacks import ATTACKS
from robust_tf.attacks.bounds import check_bounded, worst_logits
from robust_tf.models.fast import inference_form, training_form
from robust_tf.refusal import Refusal


def inference(net):
    """`net` as a compiled function, images [B, H, W, C] -> logits [B, K], in inference mode."""
    fast = inference_form(net)
    return tf.function(lambda x: fast(x, training=False))


def correct(logits_fn, x, y):
    """Which images are classified as y, bool [B]."""
    return np.argmax(logits_fn(x), -1) == y


def certified(net, images, labels, eps, norm, batch_size):
    """Which images interval bounds prove to be classified correctly within eps, bool [N].

    None where the bounds do not know the norm or a layer of the net.
    """
    try:
        check_bounded(net)
    except Refusal:
        return None
    if norm != "linf":
        return None
    fast = training_form(net)
    worst = tf.function(lambda x, y: worst_logits(fast, x, y, eps))
    proven = []
    for _, x, y in batches(images, labels, batch_size):
        y = tf.cast(y, tf.int32)
        others = worst(x, y) - 1e9 * tf.one_hot(y, net.output_shape[-1])  # bounds of z_j - z_y, j != y
        proven.append(tf.reduce_max(others, -1) < 0)
    return np.concatenate(proven)


class Attacked(NamedTuple):
    """clean: bool [N], correctly classified without attack; of each attack, by name: survived: bool [N], correctly
    classified under it; seconds; moved: whether it changed any image; invalid: how many it made no image of.
    """

    clean: np.ndarray
    survived: dict
    seconds: dict
    moved: dict
    invalid: dict


def attacked(logits_fn, images, labels, attacks, settings, batch_size, progress=lambda done: None):
    """Attacks all images with all attacks.

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K].
      images, labels: uint8 [N, H, W, C] and int [N].
      attacks: names of ATTACKS.
      settings: eps, norm, steps, alpha, restarts, seed; each attack is given those that it takes.
      batch_size: images attacked at once.
      progress: called with the number of images after each batch of each attack.

    Returns:
      Attacked.
    """
    clean, survived = [], {name: [] for name in attacks}
    seconds, moved, invalid = dict.fromkeys(attacks, 0.0), dict.fromkeys(attacks, False), dict.fromkeys(attacks, 0)
    for start, x, y in batches(images, labels, batch_size):
        clean.append(correct(logits_fn, x, y))
        for name in attacks:
            began = time.perf_counter()
            x_adv, bad = admitted(x, crafted(name, logits_fn, x, y, settings, start))
            survived[name].append(correct(logits_fn, x_adv, y))
            seconds[name] += time.perf_counter() - began
            moved[name] |= bool(tf.reduce_any(x_adv != x))
            invalid[name] += bad
            progress(len(x))
    survived = {name: np.concatenate(parts) for name, parts in survived.items()}
    return Attacked(np.concatenate(clean), survived, seconds, moved, invalid)


def admitted(x, x_adv):
    """(x_adv with x in place of what is not finite, how many of those): what is no image has broken nothing."""
    finite = tf.reduce_all(tf.math.is_finite(x_adv), (1, 2, 3))  # [B]
    return tf.where(finite[:, None, None, None], x_adv, x), int(tf.reduce_sum(tf.cast(~finite, tf.int32)))


def batches(images, labels, batch_size):
    """(number of the first image, x float32 [B, H, W, C] in [0, 1], y [B]) of uint8 images and their labels."""
    for start in range(0, len(images), batch_size):
        chosen = slice(start, start + batch_size)
        yield start, tf.cast(images[chosen], tf.float32) / 255, labels[chosen]


def crafted(name, logits_fn, x, y, settings, start):
    """x_adv of the attack ATTACKS[name], given those settings that it takes; every batch has draws of its own."""
    attack = ATTACKS[name].resolve()
    takes = inspect.signature(attack).parameters
    given = {**settings, "seed": (settings["seed"], start)}
    return attack(logits_fn, x, y, **{key: value for key, value in given.items() if key in takes})
