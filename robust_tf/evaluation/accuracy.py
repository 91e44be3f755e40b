"""Accuracy on clean and on adversarial images."""

import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from robust_tf.attacks import ATTACKS
from robust_tf.attacks.seeds import of_images
from robust_tf.data.pixels import pixels
from robust_tf.evaluation.sparing import nobody
from robust_tf.models.fast import inference_form


def inference(net):
    """`net` as a compiled function, images [B, H, W, C] -> logits [B, K], in inference mode."""
    fast = inference_form(net)
    return tf.function(lambda x: fast(x, training=False))


def correct(logits_fn, x, y):
    """Which images are classified as y, bool [B]."""
    return np.argmax(logits_fn(x), -1) == y


class Attacked(NamedTuple):
    """Results of attacks on N images.

    clean: bool [N], correctly classified without attack. The others are dicts from the name of an attack:
    survived: bool [N], correctly classified under it.
    moved: whether it changed any image.
    invalid: number of adversarial images that were not finite.
    """

    clean: np.ndarray
    survived: dict
    seconds: dict
    moved: dict
    invalid: dict

    @property
    def robust(self):
        """Which images are classified correctly without attack and under each attack, bool [N]."""
        return np.logical_and.reduce([self.clean, *self.survived.values()])

    @property
    def total_seconds(self):
        return sum(self.seconds.values())

    @staticmethod
    def joined(parts):
        """The Attacked of the images of all parts, in their order; the attacks are the same."""
        names = parts[0].survived
        return Attacked(
            np.concatenate([part.clean for part in parts]),
            {name: np.concatenate([part.survived[name] for part in parts]) for name in names},
            {name: sum(part.seconds[name] for part in parts) for name in names},
            {name: any(part.moved[name] for part in parts) for name in names},
            {name: sum(part.invalid[name] for part in parts) for name in names},
        )


def attacked(
    logits_fn, images, labels, attacks, settings, *, eps=None, spared=None, among=None, progress=lambda done: None
):
    """Runs all attacks on all images, but for those that are spared: these survive.

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K].
      images, labels: uint8 [N, H, W, C] and int [N].
      attacks: names of ATTACKS.
      settings: a resolved EvaluateConfig, with the options of the attacks.
      eps: radius; None for settings.eps.
      spared: None or a `sparing.Spared` of these images at this radius.
      among: None or the numbers of the images that are attacked, int [n]; the results are theirs, in that order.
      progress: called with the number of images after each batch of each attack.

    Returns:
      Attacked.
    """
    spared = spared or nobody(len(images))
    among = np.arange(len(images)) if among is None else among
    clean = np.ones(len(images), bool)  # spared images are proven to be classified correctly
    survived = {name: np.ones(len(images), bool) for name in attacks}
    ball = {"eps": settings.eps if eps is None else eps, "norm": settings.norm, "seed": settings.seed}
    seconds, moved, invalid = dict.fromkeys(attacks, 0.0), dict.fromkeys(attacks, False), dict.fromkeys(attacks, 0)
    chosen = among[~spared.left_out[among]]
    if skipped := len(among) - len(chosen):
        progress(skipped * len(attacks))
    for start in range(0, len(chosen), settings.batch_size):
        numbers = chosen[start : start + settings.batch_size]
        x, y = pixels(images[numbers]), labels[numbers]
        clean[numbers] = correct(logits_fn, x, y)
        for name in attacks:
            began = time.perf_counter()
            x_adv, bad = admitted(x, crafted(name, logits_fn, x, y, settings, numbers=numbers, **ball))
            survived[name][numbers] = correct(logits_fn, x_adv, y)
            seconds[name] += time.perf_counter() - began
            moved[name] |= bool(tf.reduce_any(x_adv != x))
            invalid[name] += bad
            spared.check(name, numbers, survived[name][numbers])
            progress(len(x))
    survived = {name: kept[among] for name, kept in survived.items()}
    return Attacked(clean[among], survived, seconds, moved, invalid)


def admitted(x, x_adv):
    """(x_adv, with x in place of each image that is not finite, number of those): they do not count as broken."""
    finite = tf.reduce_all(tf.math.is_finite(x_adv), (1, 2, 3))  # [B]
    return tf.where(finite[:, None, None, None], x_adv, x), int(tf.reduce_sum(tf.cast(~finite, tf.int32)))


def crafted(name, logits_fn, x, y, settings, *, eps, norm, seed, numbers):
    """x_adv of ATTACKS[name] on the images x; settings: an EvaluateConfig with the options of the attack.

    numbers: of the images in the test set, [B]; with `seed` they determine all random numbers.
    """
    attack = ATTACKS[name]
    return attack(logits_fn, x, y, **attack.keywords(settings, eps, norm, of_images(seed, numbers)))
