"""evaluate(config): attacks a trained run on test images and writes one record."""

import numpy as np
from rich.console import Console
from rich.table import Table

from robust_tf import rundir
from robust_tf.data import DATASETS
from robust_tf.evaluation.accuracy import attacked, certified, inference
from robust_tf.evaluation.sanity import sanity_flags
from robust_tf.evaluation.settings import settings
from robust_tf.models.load import load_net
from robust_tf.terminal import progress_bar


def load_trained(config):
    """(net, training configuration, data folder) of a finished run."""
    trained_as, path = rundir.trained(config.workdir)
    net = load_net(path)
    return net, trained_as, config.data_dir or trained_as["data_dir"]


def evaluate(config):
    """Measures clean and robust accuracy; returns the path of the JSON record."""
    net, trained_as, data_dir = load_trained(config)
    asked = settings(config, trained_as)
    folder = rundir.subfolder(config.workdir, "evaluation")
    images, labels = DATASETS[trained_as["dataset"]].load("test", data_dir)
    images, labels = images[: config.num_images], labels[: config.num_images]

    with progress_bar() as progress:
        task = progress.add_task("attacking", total=len(images) * len(config.attacks), unit="images")
        clean, survived, seconds = attacked(
            inference(net), images, labels, config.attacks, asked, config.batch_size,
            lambda done: progress.advance(task, done),
        )  # fmt: skip
    robust = np.logical_and.reduce([clean, *survived.values()])
    proven = certified(net, images, labels, asked["eps"], asked["norm"], config.batch_size)
    record = {
        "mode": config.mode,
        "attacks": list(config.attacks),
        **asked,
        "num_images": len(images),
        "model_sha256": rundir.digest(config.workdir),
        "clean_accuracy": float(clean.mean()),
        "robust_accuracy": float(robust.mean()),
        "certified_accuracy": None if proven is None else float(proven.mean()),
        "per_attack": {name: float(kept.mean()) for name, kept in survived.items()},
        "flags": sanity_flags(survived),
        "per_attack_seconds": {name: round(value, 2) for name, value in seconds.items()},
        "seconds": round(sum(seconds.values()), 2),
    }
    path = folder / f"{name_of(record)}.json"
    rundir.write_json(path, record)
    show(record, path)
    return path


def name_of(record):
    """A file name that tells the attack apart: the same command overwrites its own record only."""
    keys = ("eps", "steps", "alpha", "restarts", *(["queries"] if "square" in record["attacks"] else []), "seed")
    numbers = [f"{key}{record[key]:g}" for key in keys]
    return "-".join([record["mode"], *record["attacks"], record["norm"], *numbers, f"n{record['num_images']}"])


def show(record, path):
    """Prints the record as a table."""
    table = Table(
        "under", "accuracy", "seconds",
        title=f"{record['num_images']:,} test images, {record['norm']} eps {record['eps']:g}",
        caption=f"steps {record['steps']}, alpha {record['alpha']:g}, restarts {record['restarts']},"
        f" seed {record['seed']}",
    )  # fmt: skip
    table.add_row("no attack", f"{record['clean_accuracy']:.2%}", "")
    for name, accuracy in record["per_attack"].items():
        table.add_row(name, f"{accuracy:.2%}", f"{record['per_attack_seconds'][name]:.1f}")
    table.add_row("the worst for each image", f"{record['robust_accuracy']:.2%}", f"{record['seconds']:.1f}")
    console = Console()
    console.print(table)
    if record["certified_accuracy"] is not None:
        console.print(
            f"certified by interval bounds: {record['certified_accuracy']:.2%}; no attack within eps does worse",
            highlight=False,
        )
    for flag in record["flags"]:
        console.print(f"suspicious: {flag}", highlight=False)
    console.print(
        "Gradient attacks alone flatter a net, on MNIST above all: the true robust accuracy is at most this, and"
        " black-box attacks may break more.",
        highlight=False,
    )
    console.print(f"written: {path}", highlight=False, soft_wrap=True)
