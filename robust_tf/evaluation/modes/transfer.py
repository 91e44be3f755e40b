"""transfer: accuracy of other nets on images crafted on one net, at several radii (thesis, Algorithm 3)."""

import time

import numpy as np
from rich.table import Column, Table

from robust_tf.data.pixels import in_batches
from robust_tf.drawing.figures import Figure, Missing, lines
from robust_tf.drawing.words import numbered, percent, short_names
from robust_tf.evaluation.accuracy import correct, crafted
from robust_tf.evaluation.subject import load_other
from robust_tf.terminal import number_of, progress_bar


def measure(subject, config, record_path):
    began = time.perf_counter()
    judges = {"itself": subject.logits_fn} | {run: load_other("targets", run, subject) for run in config.targets}
    clean = accuracies(judges, subject, config, None)
    at_radii = []
    with progress_bar() as progress:
        task = progress.add_task("attacking", total=len(subject.images) * len(config.radii), unit="images")
        for eps in config.radii:
            at_radii.append(accuracies(judges, subject, config, eps, lambda done: progress.advance(task, done)))
    return subject.record(
        config,
        clean_accuracy=clean["itself"],
        clean_accuracies=clean,
        matrix={name: tuple(found[name] for found in at_radii) for name in judges},
        seconds=round(time.perf_counter() - began, 2),
    )


def accuracies(judges, subject, config, eps, progress=lambda done: None):
    """Each judge's accuracy on the images that PGD crafts on the subject at radius eps; clean accuracy for eps None."""
    kept = {name: [] for name in judges}
    for start, x, y in in_batches(subject.images, subject.labels, config.batch_size):
        x_adv = x
        if eps is not None:
            x_adv = crafted(
                "pgd", subject.logits_fn, x, y, config, eps=eps, norm=config.norm,
                seed=config.seed, numbers=range(start, start + len(x)),
            )  # fmt: skip
        for name, judge in judges.items():
            kept[name].append(correct(judge, x_adv, y))
        progress(len(x))
    return {name: float(np.concatenate(parts).mean()) for name, parts in kept.items()}


def show(record, console):
    table = Table(
        Column("classified by", overflow="fold"), "eps 0", *(f"{eps:g}" for eps in record.radii),
        title=f"{number_of(record.num_images, 'test image')}, {record.norm}, PGD-{record.steps} on this run's net",
        caption=f"restarts {record.restarts}, seed {record.seed}, {record.seconds:.0f} s",
    )  # fmt: skip
    for name, found in record.matrix.items():
        clean = record.clean_accuracies[name]
        table.add_row(name, *(percent(accuracy, record.num_images) for accuracy in [clean, *found]))
    console.print(table)
    console.print("Only the first row is a white-box attack; the other rows show how well its images transfer.")


def by_judge(runs):
    rows = [
        {"nets": f"{label}, on {judge}", "eps": eps, "accuracy": accuracy}
        for run in runs
        for label, record in run.labelled("transfer")
        for judge, name in zip(numbered(short_names(record.matrix)), record.matrix)
        for eps, accuracy in zip((0.0, *record.radii), (record.clean_accuracies[name], *record.matrix[name]))
    ]
    if not rows:
        return Missing("Transfer", "bin/evaluate --mode=transfer --targets=... writes it")
    chart = lines(rows, ("eps", "eps, in pixels of [0, 1]"), ("accuracy", "accuracy"), "nets")
    caption = '"A, on B": accuracy of net B on adversarial images crafted on net A; eps 0 is without attack.'
    return Figure("transfer", "Transfer", caption, chart=chart)


FIGURES = (by_judge,)
