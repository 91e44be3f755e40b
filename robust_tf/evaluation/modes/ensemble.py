"""ensemble: the mean of a natural and a robust net's probabilities (thesis, table C.1), attacked in two ways.

The thesis crafts adversarial images on one of the two nets; that attack is not adaptive. The adaptive attack crafts
them on the ensemble itself, with the logarithms of its probabilities as logits. The attacks are PGD on the
cross-entropy and, in L-inf, on Carlini and Wagner's margin.
"""

import itertools
import time

import numpy as np
import tensorflow as tf
from rich.table import Table

from robust_tf.attacks import ATTACKS
from robust_tf.data.pixels import in_batches
from robust_tf.drawing.figures import Figure, Missing
from robust_tf.drawing.papers import printed
from robust_tf.drawing.words import percent
from robust_tf.evaluation.accuracy import correct, crafted
from robust_tf.evaluation.sanity import NOISE
from robust_tf.evaluation.subject import load_other
from robust_tf.records.evaluation import CraftedOn
from robust_tf.terminal import number_of, progress_bar

CRAFTED_BY = {"pgd": "crafted_on", "cw_linf": "crafted_on_by_cw"}  # field of the record for each attack


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
    nets = {"natural": natural, "robust": robust, "ensemble": both}
    attacks = [attack for attack in CRAFTED_BY if config.norm in ATTACKS[attack].norms]
    ball = {"eps": config.eps, "norm": config.norm, "seed": config.seed}
    clean, kept = [], {attack: {name: [] for name in nets} for attack in attacks}
    with progress_bar() as progress:
        total = len(subject.images) * len(nets) * len(attacks)
        task = progress.add_task("attacking", total=total, unit="images")
        for start, x, y in in_batches(subject.images, subject.labels, config.batch_size):
            clean.append(correct(both, x, y))
            for attack, name in itertools.product(attacks, nets):
                x_adv = crafted(attack, nets[name], x, y, config, numbers=range(start, start + len(x)), **ball)
                kept[attack][name].append(correct(both, x_adv, y))
                progress.advance(task, len(x))
    clean = np.concatenate(clean)
    survived = {attack: {name: np.concatenate(parts) for name, parts in on.items()} for attack, on in kept.items()}
    found = {attack: CraftedOn(**{name: float(s.mean()) for name, s in on.items()}) for attack, on in survived.items()}
    flags = [f"ensemble: {flag}" for flag in subject.probed(both, config.eps, config.norm, config.seed)]
    everything = [clean, *(each for on in survived.values() for each in on.values())]
    return subject.record(
        config,
        clean_accuracy=float(clean.mean()),
        robust_accuracy=float(np.logical_and.reduce(everything).mean()),
        flags=(*flags, *(sign for attack, accuracy in found.items() for sign in too_weak(attack, accuracy))),
        seconds=round(time.perf_counter() - began, 2),
        **{CRAFTED_BY[attack]: accuracy for attack, accuracy in found.items()},
    )


def too_weak(attack, accuracy):
    """The sign that an attack on the ensemble finds less than the same attack on one of its nets."""
    return [
        f"{attack}: accuracy is {on_one:.1%} on images crafted on the {name} net and {accuracy.ensemble:.1%} on images"
        " crafted on the ensemble: the attack on the ensemble is too weak"
        for name, on_one in (("natural", accuracy.natural), ("robust", accuracy.robust))
        if accuracy.ensemble > on_one + NOISE
    ]


def show(record, console):
    by = {"PGD": record.crafted_on, "CW": record.crafted_on_by_cw}
    by = {attack: accuracy for attack, accuracy in by.items() if accuracy}
    table = Table(
        "accuracy of the ensemble on images", *by,
        title=f"{number_of(record.num_images, 'test image')}, {record.norm} eps {record.eps:g}, {record.steps} steps",
        caption=f"alpha {record.alpha:g}, restarts {record.restarts}, seed {record.seed},"
        f" {record.seconds:.0f} s",
    )  # fmt: skip
    for name in ("natural", "robust"):
        crafted_on = f"crafted on the {name} net"
        table.add_row(crafted_on, *(percent(getattr(each, name), record.num_images) for each in by.values()))
    table.add_row("crafted on the ensemble", *(percent(each.ensemble, record.num_images) for each in by.values()))
    console.print(table)
    console.print(
        f"Without attack {percent(record.clean_accuracy, record.num_images)}; the worst of all for each image"
        f" {percent(record.robust_accuracy, record.num_images)}."
        " Images crafted on one net, as in the thesis, are not adaptive: those numbers are no robust accuracy."
    )


def as_printed(runs):
    rows = [
        (label, record.natural, f"{record.eps:.4g}", percent(record.clean_accuracy, record.num_images))
        + tuple(by_both(record, name) for name in ("natural", "robust", "ensemble"))
        + (percent(record.robust_accuracy, record.num_images),)
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


def by_both(record, name):
    """Accuracy on images crafted on that net, by PGD and, where it was measured, by CW."""
    pgd, cw = getattr(record.crafted_on, name), getattr(record.crafted_on_by_cw, name, None)
    return f"PGD {percent(pgd)}" + (f", CW {percent(cw)}" if cw is not None else "")


FIGURES = (as_printed,)
