"""Attacks in sequence, as in AutoAttack (Croce and Hein, arXiv 2003.01690).

Each attack sees only the images that are classified correctly without attack and after all attacks before it.
Accuracies are fractions of all images, so that they never rise along the sequence.
"""

import time
import zipfile
from typing import NamedTuple

import numpy as np

from robust_tf.attacks.seeds import of_images
from robust_tf.data.pixels import pixels
from robust_tf.evaluation.accuracy import admitted, correct
from robust_tf.evaluation.sparing import nobody
from robust_tf.files import write_arrays
from robust_tf.refusal import Refusal


class SequencedAttack(NamedTuple):
    """An attack of a sequence.

    craft(x, y, seeds) -> x_adv, for images x [B, H, W, C], labels y [B] and a seed for each image, int32 [B, 2].
    gradients: whether it needs gradients; otherwise it needs scores only (black box).
    """

    name: str
    craft: callable
    gradients: bool = True


class Sequence(NamedTuple):
    """Results of attacks in sequence.

    survived: bool [1 + number of attacks, N], correctly classified without attack, then after each attack, or under
      that attack alone if attacks are individual.
    seconds: of each attack.
    invalid: number of adversarial images that were not finite, of each attack.
    """

    survived: np.ndarray
    seconds: np.ndarray
    invalid: np.ndarray

    @property
    def robust(self):
        """Which images are classified correctly without attack and after all attacks, bool [N]."""
        return self.survived.all(0)

    @property
    def total_seconds(self):
        return float(self.seconds.sum())

    @staticmethod
    def joined(parts):
        """The Sequence of the images of all parts, in their order; the attacks are the same."""
        sums = (sum(getattr(part, name) for part in parts) for name in ("seconds", "invalid"))
        return Sequence(np.concatenate([part.survived for part in parts], 1), *sums)


def in_sequence(
    judge,
    attacks,
    images,
    labels,
    *,
    seed,
    batch_size,
    individually=False,
    spared=None,
    among=None,
    state_path=None,
    identity="",
    progress=None,
    adversarial=None,
):
    """Runs the attacks on all images; resumes from the file `state_path` if an earlier call was interrupted.

    Args:
      judge: images [B, H, W, C] -> scores [B, K] of the net under attack.
      attacks: list of SequencedAttack.
      images, labels: uint8 [N, H, W, C] and int [N].
      seed: of all random numbers, which also depend on the image and on the number of the attack.
      batch_size: images attacked at once; it changes no result.
      individually: every attack sees all images that are classified correctly without attack.
      spared: None or a `sparing.Spared` of these images: no attack sees those that are left out, and they survive.
      among: None or the numbers of the images that are attacked, int [n]; the results are theirs, in that order.
      state_path: None or a path (.npz) that is rewritten after each batch; the caller removes it once the record is
        saved.
      identity: text that identifies the evaluation; a state of another one is refused.
      progress: None or called before and after each batch with (attack's name, images done, images to do, accuracy so
        far).
      adversarial: None or an array [N, H, W, C] that gets the image of each attack that breaks one.

    Returns:
      Sequence.
    """
    spared = spared or nobody(len(images))
    identity += spared.digest
    among = np.arange(len(images)) if among is None else among
    survived, seconds, invalid, current, done_before = _restored(state_path, identity, len(images), len(attacks))
    if survived is None:
        survived = np.zeros((1 + len(attacks), len(images)), bool)
        for start in range(0, len(among), batch_size):
            batch = among[start : start + batch_size]
            survived[:, batch] = correct(judge, pixels(images[batch]), labels[batch])
    for number, attack in enumerate(attacks, 1):
        if number < current:
            continue
        begin = done_before if number == current else 0
        before = survived[0 if individually else number - 1]
        if begin == 0:
            survived[number] = before
        chosen = np.flatnonzero(before & ~spared.left_out)
        if progress:
            progress(attack.name, begin, len(chosen), float(survived[number, among].mean()))
        for start in range(begin, len(chosen), batch_size):
            batch = chosen[start : start + batch_size]
            began = time.perf_counter()
            x, y = pixels(images[batch]), labels[batch]
            x_adv, bad = admitted(x, attack.craft(x, y, of_images((seed, number), batch)))
            survived[number, batch] = correct(judge, x_adv, y)
            seconds[number - 1] += time.perf_counter() - began
            invalid[number - 1] += bad
            spared.check(attack.name, batch, survived[number, batch])
            if adversarial is not None:
                broken = ~survived[number, batch]
                adversarial[batch[broken]] = x_adv.numpy()[broken]
            done = start + len(batch)
            if state_path:
                state = {"survived": survived, "seconds": seconds, "invalid": invalid}
                state |= {"step": number, "done": done, "of": identity}
                write_arrays(state_path, **state)
            if progress:
                progress(attack.name, done, len(chosen), float(survived[number, among].mean()))
    return Sequence(survived[:, among], seconds, invalid)


def broken_by(survived):
    """The number of the first attack that broke each image, int [N]: 0 where none was needed, -1 where none did."""
    return np.where(survived.all(0), -1, np.argmin(survived, 0))


def _restored(state_path, identity, count, attacks):
    """(survived, seconds, invalid, number of the attack to resume, number of images it has done) from the state file.

    Without a file, survived is None and the first attack has done nothing.
    """
    if not state_path or not state_path.exists():
        return None, np.zeros(attacks), np.zeros(attacks, int), 1, 0
    try:
        with np.load(state_path, allow_pickle=False) as state:
            found = str(state["of"])
            restored = state["survived"], state["seconds"], state["invalid"], int(state["step"]), int(state["done"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Refusal(f"expected the state of an interrupted evaluation in {state_path}; got {error}") from None
    if found != identity or restored[0].shape != (1 + attacks, count):
        raise Refusal(
            f"expected the state of the same evaluation in {state_path}; got one of another net,"
            " --num_images or --skip_certified; delete the file to start again"
        )
    return restored
