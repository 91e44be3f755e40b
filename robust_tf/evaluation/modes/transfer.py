"""transfer: images crafted on one net, judged by others, at several radii (thesis, Algorithm 3)."""

import time

import numpy as np
from rich.table import Column, Table

from robust_tf.evaluation.accuracy import batches, correct, crafted
from robust_tf.evaluation.modes import Mode
from robust_tf.evaluation.subject import load_other
from robust_tf.terminal import progress_bar


def measure(subject, asked, config, path):
    began = time.perf_counter()
    judges = {"itself": subject.logits_fn} | {run: load_other("targets", run, subject) for run in asked["targets"]}
    clean = _accuracies(judges, subject, config, None)
    at = []
    with progress_bar() as progress:
        task = progress.add_task("attacking", total=len(subject.images) * len(asked["radii"]), unit="images")
        for eps in asked["radii"]:
            settings = {**asked, "eps": eps, "seed": config.seed}
            at.append(_accuracies(judges, subject, config, settings, lambda done: progress.advance(task, done)))
    matrix = {name: [accuracies[name] for accuracies in at] for name in judges}
    return {
        "clean_accuracy": clean["itself"],
        "clean_accuracies": clean,
        "matrix": matrix,
        "seconds": round(time.perf_counter() - began, 2),
    }


def _accuracies(judges, subject, config, settings, progress=lambda done: None):
    """Each judge's accuracy on the subject's images under PGD, or clean where there are no settings."""
    kept = {name: [] for name in judges}
    for start, x, y in batches(subject.images, subject.labels, config.batch_size):
        x_adv = crafted("pgd", subject.logits_fn, x, y, settings, start) if settings else x
        for name, judge in judges.items():
            kept[name].append(correct(judge, x_adv, y))
        progress(len(x))
    return {name: float(np.concatenate(parts).mean()) for name, parts in kept.items()}


def show(record, console):
    table = Table(
        Column("judged by", overflow="fold"), "eps 0", *(f"{eps:g}" for eps in record["radii"]),
        title=f"{record['num_images']:,} test images, {record['norm']}, PGD-{record['steps']} on this run's net",
        caption=f"restarts {record['restarts']}, seed {record['seed']}, {record['seconds']:.0f} s",
    )  # fmt: skip
    for name, accuracies in record["matrix"].items():
        clean = record["clean_accuracies"][name]
        table.add_row(name, *(f"{accuracy:.2%}" for accuracy in [clean, *accuracies]))
    console.print(table)
    console.print("Only the first row is a white-box attack; the others say how far its images carry.")


MODE = Mode(measure, show)
