"""Attacks one after the other with worst-case accounting, as AutoAttack does (Croce and Hein, arXiv 2003.01690).

Each attack sees the images that all before it left standing, beginning with the correctly classified ones; accuracies
are fractions of all images, so that they never rise.
"""

import time
import zipfile
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from robust_tf.evaluation.accuracy import admitted, correct
from robust_tf.refusal import Refusal
from robust_tf.rundir import write_arrays


class Step(NamedTuple):
    """craft(x, y, seed) -> x_adv, for images x [B, H, W, C], labels y [B] and a seed of several integers."""

    name: str
    craft: callable


class Sequence(NamedTuple):
    """survived: bool [1 + number of steps, N], correctly classified without attack and after each step, or under it
    alone where it is individual; of each step: seconds; invalid: how many images it made no image of.
    """

    survived: np.ndarray
    seconds: np.ndarray
    invalid: np.ndarray


def in_sequence(
    judge, steps, images, labels, *, seed, batch_size, individually=False, saved=None, identity="", progress=None
):
    """Attacks all images; goes on from `saved` where an interrupted call left it.

    Args:
      judge: images [B, H, W, C] -> scores [B, K] of the net that is to withstand.
      steps: list of Step.
      images, labels: uint8 [N, H, W, C] and int [N].
      seed: of all random starts; a batch's draws depend on its first image too.
      batch_size: images attacked at once.
      individually: every step sees all correctly classified images, whatever others broke.
      saved: None or a path (.npz) that is rewritten after each batch; the caller removes it once the outcome is kept.
      identity: what `saved` must be of, else it is refused.
      progress: None or called before and after each batch with (step's name, images done, images to do, accuracy so
        far).

    Returns:
      Sequence.
    """
    survived, seconds, invalid, step_now, done_now = _restored(saved, identity, len(images), len(steps))
    if survived is None:
        kept = [
            correct(judge, _pixels(images, slice(i, i + batch_size)), labels[i : i + batch_size])
            for i in range(0, len(images), batch_size)
        ]
        survived = np.repeat(np.concatenate(kept)[None], 1 + len(steps), 0)
    for number, step in enumerate(steps, 1):
        if number < step_now:
            continue
        begin = done_now if number == step_now else 0
        before = survived[0 if individually else number - 1]
        if begin == 0:
            survived[number] = before
        chosen = np.flatnonzero(before)
        if progress:
            progress(step.name, begin, len(chosen), float(survived[number].mean()))
        for start in range(begin, len(chosen), batch_size):
            batch = chosen[start : start + batch_size]
            began = time.perf_counter()
            x, y = _pixels(images, batch), labels[batch]
            x_adv, bad = admitted(x, step.craft(x, y, (seed, number, int(batch[0]))))
            survived[number, batch] = correct(judge, x_adv, y)
            seconds[number - 1] += time.perf_counter() - began
            invalid[number - 1] += bad
            done = start + len(batch)
            if saved:
                state = {"survived": survived, "seconds": seconds, "invalid": invalid}
                state |= {"step": number, "done": done, "of": identity}
                write_arrays(saved, **state)
            if progress:
                progress(step.name, done, len(chosen), float(survived[number].mean()))
    return Sequence(survived, seconds, invalid)


def broken_by(survived):
    """The number of the first step that broke each image, int [N]: 0 where none was needed, -1 where none did."""
    return np.where(survived.all(0), -1, np.argmin(survived, 0))


def _pixels(images, chosen):
    return tf.cast(images[chosen], tf.float32) / 255


def _restored(saved, identity, count, steps):
    """survived, seconds, invalid, the step to go on with, the images it has done; None and a start without a file."""
    if not saved or not saved.exists():
        return None, np.zeros(steps), np.zeros(steps, int), 1, 0
    try:
        with np.load(saved, allow_pickle=False) as state:
            of = str(state["of"])
            restored = state["survived"], state["seconds"], state["invalid"], int(state["step"]), int(state["done"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Refusal(f"expected the state of an interrupted evaluation in {saved}; got {error}") from None
    if of != identity or restored[0].shape != (1 + steps, count):
        raise Refusal(
            f"expected the state of this very evaluation in {saved}; got one of another net, --batch_size or"
            " --num_images; delete it to start anew"
        )
    return restored
