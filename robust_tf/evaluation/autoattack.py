"""AutoAttack (Croce and Hein, arXiv 2003.01690): an ensemble of attacks in sequence, with worst-case accounting.

Each attack sees the images that all before it left standing, beginning with the correctly classified ones; accuracies
are fractions of all images, so that they never rise.
"""

import time
import zipfile

import numpy as np
import tensorflow as tf

from robust_tf.attacks import ATTACKS
from robust_tf.evaluation.accuracy import correct
from robust_tf.refusal import Refusal
from robust_tf.rundir import replace

# The published ensemble, and the thesis' (section 4.2.2).
VERSIONS = {
    "standard": (
        ("apgd_ce", {"steps": 100, "restarts": 1}),
        ("apgd_t", {"steps": 100, "restarts": 1}),
        ("fab_t", {"steps": 100, "restarts": 1}),
        ("square", {"queries": 5000, "restarts": 1}),
    ),
    "thesis": (
        ("apgd_ce", {"steps": 100, "restarts": 5}),
        ("apgd_dlr", {"steps": 100, "restarts": 5}),
        ("fab", {"steps": 100, "restarts": 5}),
        ("square", {"queries": 5000, "restarts": 1}),
    ),
}
STANDING = -1  # what `broken_by` holds for an image that nothing has broken; 0 is no attack at all


def autoattack(logits_fn, images, labels, version, *, eps, seed, batch_size, saved=None, identity="", progress=None):
    """Attacks all images; goes on from `saved` where an interrupted call left it.

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K].
      images, labels: uint8 [N, H, W, C] and int [N].
      version: name of VERSIONS.
      eps: L-inf radius in pixels of [0, 1].
      seed: of all random starts; a batch's draws depend on its first image too.
      batch_size: images attacked at once.
      saved: None or a path (.npz) that is rewritten after each batch, and removed at the end.
      identity: what `saved` must be of, else it is refused.
      progress: None or called after each batch with (attack, images done, images to do, accuracy so far).

    Returns:
      broken_by: int [N]: STANDING, 0 where misclassified without attack, i where the i-th attack broke it.
      seconds: for each attack.
    """
    attacks = VERSIONS[version]
    broken_by, seconds, attack_now, done_now = _restored(saved, identity, len(images), len(attacks))
    if broken_by is None:
        kept = [
            correct(logits_fn, _pixels(images, slice(i, i + batch_size)), labels[i : i + batch_size])
            for i in range(0, len(images), batch_size)
        ]
        broken_by = np.where(np.concatenate(kept), STANDING, 0)
    for number, (name, settings) in enumerate(attacks, 1):
        if number < attack_now:
            continue
        survivors = np.flatnonzero((broken_by == STANDING) | (broken_by >= number))
        for start in range(done_now if number == attack_now else 0, len(survivors), batch_size):
            batch = survivors[start : start + batch_size]
            began = time.perf_counter()
            x, y = _pixels(images, batch), labels[batch]
            draws = (seed, number, int(batch[0]))
            x_adv = ATTACKS[name](logits_fn, x, y, eps=eps, seed=draws, **settings)
            broken_by[batch] = np.where(correct(logits_fn, x_adv, y), STANDING, number)
            seconds[number - 1] += time.perf_counter() - began
            done = start + len(batch)
            if saved:
                state = {"broken_by": broken_by, "seconds": seconds, "attack": number, "done": done, "of": identity}
                replace(saved, lambda partial, state=state: _write(partial, state))
            if progress:
                progress(name, done, len(survivors), float(np.mean(broken_by == STANDING)))
    if saved:
        saved.unlink(missing_ok=True)
    return broken_by, [float(value) for value in seconds]


def _pixels(images, chosen):
    return tf.cast(images[chosen], tf.float32) / 255


def _write(path, state):
    with path.open("wb") as file:
        np.savez(file, **state)


def _restored(saved, identity, count, attacks):
    """broken_by, seconds, the attack to go on with and the images it has done; None and a start where there is none."""
    if not saved or not saved.exists():
        return None, np.zeros(attacks), 1, 0
    try:
        with np.load(saved, allow_pickle=False) as state:
            of = str(state["of"])
            restored = state["broken_by"], state["seconds"], int(state["attack"]), int(state["done"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Refusal(f"expected the state of an interrupted evaluation in {saved}; got {error}") from None
    if of != identity or len(restored[0]) != count:
        raise Refusal(
            f"expected the state of this very evaluation in {saved}; got another's; without it, it starts anew"
        )
    return restored


def accuracies(broken_by, version):
    """Accuracy without attack and after each: dict name -> fraction of all images."""
    after = {"clean": float(np.mean(broken_by != 0))}
    for number, (name, _) in enumerate(VERSIONS[version], 1):
        after[name] = float(np.mean((broken_by == STANDING) | (broken_by > number)))
    return after
