"""Signs that a robust accuracy is not to be trusted (Carlini et al., arXiv 1902.06705; Croce and Hein, 2003.01690).

Quick looks at a few images, before or beside an evaluation; every sign is one sentence for the record.
"""

import itertools

import numpy as np
import tensorflow as tf

from robust_tf.attacks import BLACK_BOX, NEAREST
from robust_tf.attacks.pgd import pgd
from robust_tf.attacks.square import square
from robust_tf.evaluation.accuracy import admitted, correct
from robust_tf.models.own import are_probabilities

IMAGES = 200  # looked at
STEPS = 20  # of PGD
QUERIES = 300  # of Square
# Differences up to this fraction of the images are chance: of random starts, and of one attack against another.
CHANCE = 0.02
MISSED = 0.001  # of the images that FGSM breaks and a stronger attack does not; more is no accident


def sanity_flags(attacked, eps):
    """One sentence for each sign in what attacks left, each of all images.

    Args:
      attacked: an `accuracy.Attacked`.
      eps: radius of the attacks.
    """
    flags, survived = not_images(attacked.invalid), attacked.survived
    for name, moved in attacked.moved.items():
        if eps > 0 and not moved and name not in NEAREST:
            flags.append(f"{name} moved no pixel of any image: its accuracy says nothing")
    if "fgsm" in survived:
        for name, kept in survived.items():
            if name in BLACK_BOX:  # no gradient could mislead it
                continue
            missed = int(np.sum(kept & ~survived["fgsm"]))
            if missed > max(1, MISSED * len(kept)):
                flags.append(
                    f"{missed} images fall to one step of fgsm but not to {name}: its gradients mislead it, or its"
                    " steps are too few or too small"
                )
    gradient = [kept for name, kept in survived.items() if name not in BLACK_BOX]
    if gradient:
        left = np.logical_and.reduce([attacked.clean, *gradient])
        for name in BLACK_BOX:
            if name in survived:
                flags += stronger(name, float(left.mean()), float((left & survived[name]).mean()))
    return flags


def sequence_flags(steps, sequence, individually=False):
    """One sentence for each sign in what attacks in sequence left.

    Args:
      steps, sequence: what went into `sequence.in_sequence`, and came out.
      individually: as there.
    """
    names = [step.name for step in steps]
    flags = not_images(dict(zip(names, sequence.invalid)))
    if not individually:
        left = sequence.survived.mean(1)
        for number, name in enumerate(names, 1):
            if name.split()[0] in BLACK_BOX:
                flags += stronger(name, left[number - 1], left[number])
    return flags


def stronger(name, before, after):
    """The sign that a black-box attack broke what gradients had not."""
    if before - after <= CHANCE:
        return []
    return [f"black box beats white box: gradient attacks leave {before:.1%} of the images, with {name} {after:.1%}"]


def not_images(invalid):
    """The sign of pixels that are not finite, by attack."""
    return [
        f"{name} turned {count} images into what is not finite: the net's gradients are; counted as not broken"
        for name, count in invalid.items()
        if count
    ]


def probe(logits_fn, images, labels, *, eps, norm, far, seed=0):
    """One sentence for each sign that the net misleads attacks, from the first IMAGES images.

    Looks at the outputs (the same twice? probabilities?), at the input's gradient (zero? not finite?), and at attacks
    with PGD: stronger with more steps, stronger with eps, down to chance at radius `far`, weaker than none where it
    moves nothing; and, in L-inf, not much weaker than Square.

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K].
      images, labels: uint8 [N, H, W, C] and int [N].
      eps, norm: of the evaluation.
      far: an L-inf radius at which no net can be right more often than by chance.
      seed: of the random starts.
    """
    x, y = tf.cast(images[:IMAGES], tf.float32) / 255, tf.cast(labels[:IMAGES], tf.int32)
    flags = of_outputs(logits_fn, x) + of_gradients(logits_fn, x, y)
    if eps == 0:
        return flags
    classes = logits_fn(x).shape[-1]
    right = lambda x_adv: float(np.mean(correct(logits_fn, x_adv, y)))  # noqa: E731
    if norm == "l2":  # a corner of the L-inf ball is this far away
        far *= float(np.sqrt(np.prod(x.shape[1:])))
    attack = tf.function(lambda eps, steps: pgd(logits_fn, x, y, eps=eps, steps=steps, norm=norm, seed=(seed, 0)))
    run = lambda eps, steps: attack(tf.constant(eps, tf.float32), tf.constant(steps))  # noqa: E731

    x_adv, bad = admitted(x, run(eps, STEPS))
    flags += not_images({f"{STEPS} steps of pgd": bad})
    if not bad and not np.any(np.abs(x_adv - x) > 0):
        flags.append(f"{STEPS} steps of pgd at eps {eps:g} moved no pixel")
    radii = sorted({eps / 2, eps, min(2 * eps, far), far})
    accuracies = {radius: right(x_adv if radius == eps else run(radius, STEPS)) for radius in radii}
    flags += rising(accuracies)
    if accuracies[far] > 1 / classes + CHANCE:
        flags.append(
            f"accuracy under pgd is {accuracies[far]:.1%} at eps {far:g}, where it should be at most"
            f" {1 / classes:.1%}: the attack fails"
        )
    one = right(run(eps, 1))
    if accuracies[eps] > one + CHANCE:
        flags.append(
            f"accuracy is {accuracies[eps]:.1%} under {STEPS} steps of pgd, {one:.1%} under one: more is weaker"
        )
    if norm == "linf":
        black = right(square(logits_fn, x, y, eps=eps, queries=QUERIES, seed=seed))
        if accuracies[eps] > black + CHANCE:
            flags.append(
                f"black box beats white box: {black:.1%} under {QUERIES} queries of square,"
                f" {accuracies[eps]:.1%} under {STEPS} steps of pgd"
            )
    return flags


def rising(accuracies):
    """Signs in accuracies under PGD, a dict of growing eps -> accuracy."""
    return [
        f"accuracy under pgd rises with eps: {accuracies[small]:.1%} at {small:g}, {accuracies[large]:.1%} at {large:g}"
        for small, large in itertools.pairwise(accuracies)
        if accuracies[large] > accuracies[small] + CHANCE
    ]


def of_outputs(logits_fn, x):
    """Signs in the scores of images x."""
    flags = []
    z, again = (logits_fn(x).numpy() for _ in range(2))
    if (z != again).any():
        flags.append("outputs change from one call to the next: attacks must average over them")
    if are_probabilities(z):
        flags.append("outputs look like probabilities: attacks need logits, whose gradient does not vanish")
    return flags


def of_gradients(logits_fn, x, y):
    """Signs in the input's gradient of the cross-entropy."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits_fn(x))
    grad = tape.gradient(loss, x, unconnected_gradients=tf.UnconnectedGradients.ZERO).numpy().reshape(len(y), -1)
    bad, zero = int(np.sum(~np.isfinite(grad).all(1))), int(np.sum((grad == 0).all(1)))
    flags = []
    if bad:
        flags.append(f"the input's gradient is not finite for {bad} of {len(y)} images")
    if zero:
        flags.append(f"the input's gradient is zero for {zero} of {len(y)} images: gradient attacks are blind there")
    return flags
