"""ensemble: the mean of a natural and a robust net's probabilities (thesis, table C.1), attacked in two ways.

The thesis crafts its images on one of the two nets, which do not know of each other: not adaptive. An attacker who
knows the ensemble attacks the logarithm of its probability.
"""

import time

import numpy as np
import tensorflow as tf
from rich.table import Table

from robust_tf.evaluation.accuracy import batches, correct, crafted
from robust_tf.evaluation.modes import Mode
from robust_tf.evaluation.sanity import CHANCE
from robust_tf.evaluation.subject import load_other
from robust_tf.terminal import progress_bar


def mixture(one, other):
    """log((softmax(z_1) + softmax(z_2)) / 2) of two nets, x -> [B, K]."""

    @tf.function
    def log_probabilities(x):
        pair = tf.stack([tf.nn.log_softmax(one(x)), tf.nn.log_softmax(other(x))])
        return tf.reduce_logsumexp(pair, 0) - tf.math.log(2.0)

    return log_probabilities


def measure(subject, asked, config, path):
    began = time.perf_counter()
    robust, natural = subject.logits_fn, load_other("natural", asked["natural"], subject)
    both = mixture(robust, natural)
    crafted_on = {"the natural net": natural, "the robust net": robust, "the ensemble": both}
    kept = {name: [] for name in ("no attack", *crafted_on)}
    with progress_bar() as progress:
        task = progress.add_task("attacking", total=len(subject.images) * len(crafted_on), unit="images")
        for start, x, y in batches(subject.images, subject.labels, config.batch_size):
            kept["no attack"].append(correct(both, x, y))
            for name, logits_fn in crafted_on.items():
                x_adv = crafted("pgd", logits_fn, x, y, {**asked, "seed": config.seed}, start)
                kept[name].append(correct(both, x_adv, y))
                progress.advance(task, len(x))
    kept = {name: np.concatenate(parts) for name, parts in kept.items()}
    clean = kept.pop("no attack")
    left = {name: float(survived.mean()) for name, survived in kept.items()}
    flags = [f"ensemble: {flag}" for flag in subject.probed(both, asked["eps"], asked["norm"], config.seed)]
    for name in ("the natural net", "the robust net"):
        if left["the ensemble"] > left[name] + CHANCE:
            flags.append(
                f"images crafted on {name} leave {left[name]:.1%}, on the ensemble {left['the ensemble']:.1%}: the"
                " attack on the ensemble is too weak"
            )
    return {
        "clean_accuracy": float(clean.mean()),
        "robust_accuracy": float(np.logical_and.reduce([clean, *kept.values()]).mean()),
        "crafted_on": left,
        "flags": flags,
        "seconds": round(time.perf_counter() - began, 2),
    }


def show(record, console):
    table = Table(
        "PGD images crafted on", "accuracy of the ensemble",
        title=f"{record['num_images']:,} test images, {record['norm']} eps {record['eps']:g}, PGD-{record['steps']}",
        caption=f"alpha {record['alpha']:g}, restarts {record['restarts']}, seed {record['seed']},"
        f" {record['seconds']:.0f} s",
    )  # fmt: skip
    on = record["crafted_on"]
    table.add_row("none", f"{record['clean_accuracy']:.2%}")
    for name, accuracy in on.items():
        table.add_row(name, f"{accuracy:.2%}")
    table.add_row("the worst for each image", f"{record['robust_accuracy']:.2%}")
    console.print(table)
    console.print(
        f"Images crafted on one member, as in the thesis, leave {on['the robust net']:.2%} where it is the robust net"
        f" and {on['the natural net']:.2%} where it is the other. That is not adaptive: no such number is a robustness."
        f" Crafted on the ensemble itself, by one who knows it, they leave {on['the ensemble']:.2%};"
        f" all three together, {record['robust_accuracy']:.2%}."
    )


MODE = Mode(measure, show)
