"""Signs that a robust accuracy is too high (Carlini et al., arXiv 1902.06705; Croce and Hein, 2003.01690).

Checks of the results of an evaluation, and quick checks on a few images; each sign is one sentence for the record.
"""

import itertools

import numpy as np
import tensorflow as tf

from robust_tf.attacks import ATTACKS
from robust_tf.attacks.pgd import pgd
from robust_tf.attacks.seeds import of_images
from robust_tf.attacks.square import square
from robust_tf.data.pixels import pixels
from robust_tf.evaluation.accuracy import admitted, correct
from robust_tf.models.own import are_probabilities
from robust_tf.terminal import number_of

IMAGES = 200  # for the quick checks
PGD_STEPS = 20
QUERIES = 300  # of Square
NOISE = 0.02  # differences in accuracy up to this are no sign: random starts alone may cause them
MISSED = 0.001  # fraction of the images that FGSM may break and a stronger attack may miss without a sign


def sanity_flags(attacked, eps):
    """One sentence for each sign in the results of attacks on all images.

    Args:
      attacked: an `accuracy.Attacked`.
      eps: radius of the attacks.
    """
    flags, survived = not_images(attacked.invalid), attacked.survived
    for name, moved in attacked.moved.items():
        if eps > 0 and not moved and not ATTACKS[name].nearest:
            flags.append(f"{name} changed no pixel of any image: accuracy under it says nothing")
    if "fgsm" in survived:
        for name, kept in survived.items():
            if not ATTACKS[name].gradients:  # no gradient can mislead it
                continue
            missed = int(np.sum(kept & ~survived["fgsm"]))
            if missed > max(1, MISSED * len(kept)):
                flags.append(
                    f"{missed} images are broken by the single step of fgsm but not by {name}: gradients mislead it, or"
                    " its steps are too few or too small"
                )
    gradient = [kept for name, kept in survived.items() if ATTACKS[name].gradients]
    if gradient:
        left = np.logical_and.reduce([attacked.clean, *gradient])
        for name in survived:
            if not ATTACKS[name].gradients:
                flags += stronger(name, float(left.mean()), float((left & survived[name]).mean()))
    return flags


def sequence_flags(attacks, sequence, individually=False):
    """One sentence for each sign in the results of attacks in sequence.

    Args:
      attacks, individually: arguments of `sequence.in_sequence`.
      sequence: what it returned.
    """
    flags = not_images({attack.name: count for attack, count in zip(attacks, sequence.invalid)})
    if not individually:
        left = sequence.survived.mean(1)
        for number, attack in enumerate(attacks, 1):
            if not attack.gradients:
                flags += stronger(attack.name, left[number - 1], left[number])
    return flags


def stronger(name, before, after):
    """The sign that a black-box attack broke images that gradient attacks had not."""
    if before - after <= NOISE:
        return []
    return [f"black box beats white box: accuracy is {before:.1%} after gradient attacks, {after:.1%} with {name} too"]


def not_images(invalid):
    """The sign that an attack made images that are not finite."""
    return [
        f"{name} made {number_of(count, 'image')} not finite, as are the net's gradients: counted as not broken"
        for name, count in invalid.items()
        if count
    ]


def probe(logits_fn, images, labels, *, eps, norm, far, seed=0):
    """One sentence for each sign that the net misleads attacks, from the first IMAGES images.

    The outputs must not change from call to call, nor look like probabilities; the gradient with respect to the input
    must be finite and not zero. PGD must change pixels, must not weaken with more steps or larger eps, must reach
    chance at radius `far` and, in L-inf, must not be much weaker than Square.

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K].
      images, labels: uint8 [N, H, W, C] and int [N].
      eps, norm: of the evaluation.
      far: an L-inf radius at which no net can be more accurate than chance.
      seed: of the random starts.
    """
    x, y = pixels(images[:IMAGES]), tf.cast(labels[:IMAGES], tf.int32)
    flags = output_signs(logits_fn, x) + gradient_signs(logits_fn, x, y)
    if eps == 0:
        return flags
    classes = logits_fn(x).shape[-1]

    def accuracy(x_adv):
        return float(np.mean(correct(logits_fn, x_adv, y)))

    if norm == "l2":  # the L2 length of a corner of the L-inf ball
        far *= float(np.sqrt(np.prod(x.shape[1:])))
    seeds = of_images(seed, range(len(x)))
    # AutoGraph would warn of the import of the starts.
    attack = tf.function(
        lambda eps, steps: pgd(logits_fn, x, y, eps=eps, steps=steps, norm=norm, seed=seeds), autograph=False
    )

    def pgd_images(eps, steps):
        return attack(tf.constant(eps, tf.float32), tf.constant(steps))

    x_adv, bad = admitted(x, pgd_images(eps, PGD_STEPS))
    flags += not_images({f"{PGD_STEPS} steps of pgd": bad})
    if not bad and not np.any(np.abs(x_adv - x) > 0):
        flags.append(f"{PGD_STEPS} steps of pgd at eps {eps:g} changed no pixel")
    radii = sorted({eps / 2, eps, min(2 * eps, far), far})
    accuracies = {each: accuracy(x_adv if each == eps else pgd_images(each, PGD_STEPS)) for each in radii}
    flags += rising(accuracies)
    if accuracies[far] > 1 / classes + NOISE:
        flags.append(
            f"accuracy under pgd is {accuracies[far]:.1%} at eps {far:g}, where it should be at most"
            f" {1 / classes:.1%}: the attack fails"
        )
    one_step = accuracy(pgd_images(eps, 1))
    if accuracies[eps] > one_step + NOISE:
        flags.append(
            f"accuracy is {accuracies[eps]:.1%} under {PGD_STEPS} steps of pgd, {one_step:.1%} under one step: more"
            " steps make the attack weaker"
        )
    if norm == "linf":
        black_box = accuracy(square(logits_fn, x, y, eps=eps, queries=QUERIES, seed=seed))
        if accuracies[eps] > black_box + NOISE:
            flags.append(
                f"black box beats white box: accuracy is {black_box:.1%} under {QUERIES} queries of square,"
                f" {accuracies[eps]:.1%} under {PGD_STEPS} steps of pgd"
            )
    return flags


def rising(accuracies):
    """The sign that accuracy under PGD rises with eps; accuracies: {eps: accuracy}, in order of eps."""
    return [
        f"accuracy under pgd rises with eps: {accuracies[small]:.1%} at {small:g}, {accuracies[large]:.1%} at {large:g}"
        for small, large in itertools.pairwise(accuracies)
        if accuracies[large] > accuracies[small] + NOISE
    ]


def output_signs(logits_fn, x):
    """Signs in the scores of images x."""
    flags = []
    z, again = (logits_fn(x).numpy() for _ in range(2))
    if (z != again).any():
        flags.append("outputs change from one call to the next: attacks must average over several calls")
    if are_probabilities(z):
        flags.append("outputs look like probabilities: attacks need logits, whose gradient does not vanish")
    return flags


def gradient_signs(logits_fn, x, y):
    """Signs in the gradient of the cross-entropy with respect to the images x."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits_fn(x))
    grad = tape.gradient(loss, x, unconnected_gradients=tf.UnconnectedGradients.ZERO).numpy().reshape(len(y), -1)
    bad, zero = int(np.sum(~np.isfinite(grad).all(1))), int(np.sum((grad == 0).all(1)))
    flags = []
    if bad:
        flags.append(f"the input's gradient is not finite for {bad} of {len(y)} images")
    if zero:
        flags.append(f"the input's gradient is zero for {zero} of {len(y)} images: gradient attacks do not work there")
    return flags
