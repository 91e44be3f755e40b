"""ensemble: the mean of a natural and a robust net's probabilities (thesis, table C.1), attacked in two ways.

The thesis crafts adversarial images on one of the two nets; that attack is not adaptive. The adaptive attack crafts
them on the ensemble itself, with the logarithms of its probabilities as logits.
"""

import time

import numpy as np
import tensorflow as tf
from rich.table import Table

from robust_tf.data.pixels import in_batches
from robust_tf.drawing.figures import Figure, Missing
from robust_tf.drawing.papers import printed
from robust_tf.drawing.words import percent
from robust_tf.evaluation.accuracy import correct, crafted
from robust_tf.evaluation.sanity import NOISE
from robust_tf.evaluation.subject import load_other
from robust_tf.records.evaluation import CraftedOn
from robust_tf.terminal import progress_bar


def mixture(one, other):
    """log((softmax(z_1) + softmax(z_2)) / 2) of two nets, x -> [B, K]."""

    @tf.function
    def log_probabilities(x):
        pair = tf.stack([tf.nn.log_softmax(one(x)), tf.nn.log_softmax(other(x))])
        return tf.reduce_logsumexp(pair, 0) - tf.math.log(2.0)

    return log_probabilities


def measure(subject, config, record_path):
    began = time.perf_counter()
    robust, natural = subject.logits_fn, load_other("natural", config.natural, subject)
    both = mixture(robust, natural)
    crafted_on = {"natural": natural, "robust": robust, "ensemble": both}
    ball = {"eps": config.eps, "norm": config.norm, "seed": config.seed}
    clean, kept = [], {name: [] for name in crafted_on}
    with progress_bar() as progress:
        task = progress.add_task("attacking", total=len(subject.images) * len(crafted_on), unit="images")
        for start, x, y in in_batches(subject.images, subject.labels, config.batch_size):
            clean.append(correct(both, x, y))
            for name, logits_fn in crafted_on.items():
                x_adv = crafted("pgd", logits_fn, x, y, config, start=start, **ball)
                kept[name].append(correct(both, x_adv, y))
                progress.advance(task, len(x))
    clean, kept = np.concatenate(clean), {name: np.concatenate(parts) for name, parts in kept.items()}
    accuracy = CraftedOn(**{name: float(survived.mean()) for name, survived in kept.items()})
    flags = [f"ensemble: {flag}" for flag in subject.probed(both, config.eps, config.norm, config.seed)]
    for name, on_one in (("natural", accuracy.natural), ("robust", accuracy.robust)):
        if accuracy.ensemble > on_one + NOISE:
            flags.append(
                f"accuracy is {on_one:.1%} on images crafted on the {name} net and {accuracy.ensemble:.1%} on images"
                " crafted on the ensemble: the attack on the ensemble is too weak"
            )
    return subject.record(
        config,
        clean_accuracy=float(clean.mean()),
        robust_accuracy=float(np.logical_and.reduce([clean, *kept.values()]).mean()),
        crafted_on=accuracy,
        flags=tuple(flags),
        seconds=round(time.perf_counter() - began, 2),
    )


def show(record, console):
    table = Table(
        "PGD images crafted on", "accuracy of the ensemble",
        title=f"{record.num_images:,} test images, {record.norm} eps {record.eps:g}, PGD-{record.steps}",
        caption=f"alpha {record.alpha:g}, restarts {record.restarts}, seed {record.seed},"
        f" {record.seconds:.0f} s",
    )  # fmt: skip
    on = record.crafted_on
    table.add_row("none", f"{record.clean_accuracy:.2%}")
    for name, accuracy in (("natural net", on.natural), ("robust net", on.robust), ("ensemble", on.ensemble)):
        table.add_row(f"the {name}", f"{accuracy:.2%}")
    table.add_row("the worst for each image", f"{record.robust_accuracy:.2%}")
    console.print(table)
    console.print(
        f"Images crafted on one net, as in the thesis, give {on.robust:.2%} (robust net) and {on.natural:.2%} (natural"
        " net). Such attacks are not adaptive: neither number is a robust accuracy. Images crafted on the ensemble give"
        f" {on.ensemble:.2%}, the worst of the three for each image {record.robust_accuracy:.2%}."
    )


def as_printed(runs):
    rows = [
        (label, record.natural, f"{record.eps:.4g}", percent(record.clean_accuracy))
        + tuple(percent(found) for found in (record.crafted_on.natural, record.crafted_on.robust))
        + (percent(record.crafted_on.ensemble), percent(record.robust_accuracy))
        for run in runs
        for label, record in run.labelled("ensemble")
    ]
    if not rows:
        return Missing(
            "Ensembles of a natural and a robust net", "bin/evaluate --mode=ensemble --natural=... writes it"
        )
    datasets = {run.config.dataset for run in runs if run.config}
    for row in printed("thesis_table_c_1"):
        if row["dataset"] in datasets and row["training"] == "combined":
            nets = (f"{row['model']}, printed in the thesis, table C.1", f"natural {row['model']}")
            rows.append((*nets, "0.1", f"{row['clean']} %", "", f"PGD {row['pgd']} %, CW {row['cw']} %", "", ""))
    columns = (
        "robust net",
        "natural net",
        "eps",
        "clean",
        "crafted on the natural net",
        "crafted on the robust net",
        "crafted on the ensemble",
        "the worst for each image",
    )
    caption = (
        "Accuracy of the ensemble on clean images, and on adversarial images crafted on each net. Only the attack on"
        " the ensemble itself is adaptive."
    )
    return Figure("ensemble", "Ensembles of a natural and a robust net", caption, columns=columns, rows=rows)


FIGURES = (as_printed,)
