"""attacks: accuracy under each attack and under the worst of them, or under AutoAttack."""

import json

import numpy as np
from rich.table import Table

from robust_tf.evaluation.accuracy import attacked
from robust_tf.evaluation.autoattack import autoattack
from robust_tf.evaluation.modes import Mode
from robust_tf.evaluation.sanity import sanity_flags, sequence_flags
from robust_tf.evaluation.sequence import broken_by, in_sequence
from robust_tf.terminal import progress_bar, sequence_progress


def measure(subject, asked, config, path):
    of = under_autoattack if "version" in asked else under_each
    return of(subject, asked, config, path)


def under_each(subject, asked, config, path):
    """Every attack on every image."""
    images, labels = subject.images, subject.labels
    with progress_bar() as progress:
        task = progress.add_task("attacking", total=len(images) * len(asked["attacks"]), unit="images")
        found = attacked(
            subject.logits_fn, images, labels, asked["attacks"], {**asked, "seed": config.seed}, config.batch_size,
            lambda done: progress.advance(task, done),
        )  # fmt: skip
    robust = np.logical_and.reduce([found.clean, *found.survived.values()])
    return {
        "clean_accuracy": float(found.clean.mean()),
        "robust_accuracy": float(robust.mean()),
        "per_attack": {name: float(kept.mean()) for name, kept in found.survived.items()},
        "flags": sanity_flags(found, asked["eps"]),
        "per_attack_seconds": {name: round(value, 2) for name, value in found.seconds.items()},
        "seconds": round(sum(found.seconds.values()), 2),
    }


def under_autoattack(subject, asked, config, path):
    """One attack after the other, on what is left or, individually, on all that is classified correctly.

    per_attack holds the accuracy after each, broken_by the name of the first attack that broke each image, "clean"
    where none was needed, None where none did.
    """
    steps = autoattack(subject.logits_fn, asked["version"], asked["eps"])
    with progress_bar() as progress:
        found = in_sequence(
            subject.logits_fn, steps, subject.images, subject.labels, seed=config.seed, batch_size=config.batch_size,
            individually=asked["individual"], saved=path.with_name(f"{path.stem}.state.npz"),
            identity=json.dumps([subject.digest, config.batch_size]), progress=sequence_progress(progress),
        )  # fmt: skip
    return outcome(steps, found, asked["individual"])


def outcome(steps, found, individually=False):
    """What `in_sequence` found, for the record."""
    names, survived = [step.name for step in steps], found.survived
    by = [None if number < 0 else ["clean", *names][number] for number in broken_by(survived)]
    return {
        "clean_accuracy": float(survived[0].mean()),
        "robust_accuracy": float(survived.all(0).mean()),
        "per_attack": {name: float(kept.mean()) for name, kept in zip(names, survived[1:])},
        "per_attack_seconds": {name: round(float(value), 2) for name, value in zip(names, found.seconds)},
        "seconds": round(float(sum(found.seconds)), 2),
        "broken_by": by,
        "flags": sequence_flags(steps, found, individually),
    }


def caption(record):
    """The settings in words."""
    if "version" in record:
        seen = "all images" if record["individual"] else "what is left"
        return f"AutoAttack, {record['version']} version, each attack on {seen}, seed {record['seed']}"
    queries = f", queries {record['queries']}" if "queries" in record else ""
    settings = f"steps {record['steps']}, alpha {record['alpha']:g}, restarts {record['restarts']}{queries}"
    return f"{settings}, seed {record['seed']}"


def show(record, console):
    table = Table(
        "under", "accuracy", "seconds",
        title=f"{record['num_images']:,} test images, {record['norm']} eps {record['eps']:g}",
        caption=caption(record),
    )  # fmt: skip
    table.add_row("no attack", f"{record['clean_accuracy']:.2%}", "")
    for name, accuracy in record["per_attack"].items():
        table.add_row(name, f"{accuracy:.2%}", f"{record['per_attack_seconds'][name]:.1f}")
    table.add_row(
        "all of them" if "version" in record else "the worst for each image",
        f"{record['robust_accuracy']:.2%}",
        f"{record['seconds']:.1f}",
    )
    console.print(table)
    if not {"square", "autoattack"} & set(record["attacks"]):
        console.print(
            "Gradient attacks alone flatter a net, on MNIST above all: the true robust accuracy is at most this, and"
            " black-box attacks may break more."
        )


MODE = Mode(measure, show, certifies=True)
