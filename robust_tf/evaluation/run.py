"""evaluate(config): attacks a trained run on test images and writes one record."""

import json

import numpy as np
from rich.console import Console
from rich.table import Table

from robust_tf import rundir
from robust_tf.data import DATASETS
from robust_tf.evaluation.accuracy import attacked, certified, inference
from robust_tf.evaluation.autoattack import STANDING, VERSIONS, accuracies, autoattack
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
    """Measures clean, robust and certified accuracy; returns the path of the JSON record."""
    net, trained_as, data_dir = load_trained(config)
    asked = settings(config, trained_as)
    folder = rundir.subfolder(config.workdir, "evaluation")
    images, labels = DATASETS[trained_as["dataset"]].load("test", data_dir)
    images, labels = images[: config.num_images], labels[: config.num_images]
    record = {
        "mode": config.mode,
        "attacks": list(config.attacks),
        **asked,
        "num_images": len(images),
        "model_sha256": rundir.digest(config.workdir),
    }
    path = folder / f"{name_of(record)}.json"
    if "autoattack" in config.attacks:
        record |= under_autoattack(net, images, labels, asked, config.batch_size, path.with_suffix(".npz"), record)
    else:
        record |= under_each(net, images, labels, asked, config)
    proven = certified(net, images, labels, asked["eps"], asked["norm"], config.batch_size)
    record["certified_accuracy"] = None if proven is None else float(proven.mean())
    rundir.write_json(path, record)
    show(record, path)
    return path


def under_each(net, images, labels, asked, config):
    """Every attack on every image; the part of the record that is measured."""
    with progress_bar() as progress:
        task = progress.add_task("attacking", total=len(images) * len(config.attacks), unit="images")
        clean, survived, seconds = attacked(
            inference(net), images, labels, config.attacks, asked, config.batch_size,
            lambda done: progress.advance(task, done),
        )  # fmt: skip
    robust = np.logical_and.reduce([clean, *survived.values()])
    return {
        "clean_accuracy": float(clean.mean()),
        "robust_accuracy": float(robust.mean()),
        "per_attack": {name: float(kept.mean()) for name, kept in survived.items()},
        "flags": sanity_flags(survived),
        "per_attack_seconds": {name: round(value, 2) for name, value in seconds.items()},
        "seconds": round(sum(seconds.values()), 2),
    }


def under_autoattack(net, images, labels, asked, batch_size, saved, identity):
    """One attack after the other on what is left; the part of the record that is measured.

    per_attack holds the accuracy after each, broken_by the name of the attack that broke each image, "clean" where none
    was needed, None where none did.
    """
    version = asked["version"]
    with progress_bar() as progress:
        tasks = {}

        def advance(name, done, of, accuracy):
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=of, unit="images")
            progress.update(tasks[name], completed=done, description=f"{name}, {accuracy:.2%} robust")

        broken_by, seconds = autoattack(
            inference(net), images, labels, version, eps=asked["eps"], seed=asked["seed"], batch_size=batch_size,
            saved=saved, identity=json.dumps([identity, batch_size]), progress=advance,
        )  # fmt: skip
    names = ["clean", *(name for name, _ in VERSIONS[version])]
    after = accuracies(broken_by, version)
    return {
        "clean_accuracy": after.pop("clean"),
        "robust_accuracy": float(np.mean(broken_by == STANDING)),
        "per_attack": after,
        "flags": [],
        "per_attack_seconds": {name: round(value, 2) for name, value in zip(names[1:], seconds)},
        "seconds": round(sum(seconds), 2),
        "broken_by": [None if number == STANDING else names[number] for number in broken_by],
    }


def name_of(record):
    """A file name that tells the attack apart: the same command overwrites its own record only."""
    keys = ["eps", *(key for key in ("steps", "alpha", "restarts", "queries") if key in record), "seed"]
    numbers = [f"{key}{record[key]:g}" for key in keys]
    version = [record["version"]] if "version" in record else []
    names = [record["mode"], *record["attacks"], *version, record["norm"], *numbers, f"n{record['num_images']}"]
    return "-".join(names)


def caption(record):
    """The settings in words."""
    if "version" in record:
        return f"AutoAttack, {record['version']} version, each attack on what is left, seed {record['seed']}"
    queries = f", queries {record['queries']}" if "queries" in record else ""
    settings = f"steps {record['steps']}, alpha {record['alpha']:g}, restarts {record['restarts']}{queries}"
    return f"{settings}, seed {record['seed']}"


def show(record, path):
    """Prints the record as a table."""
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
    console = Console()
    console.print(table)
    if record["certified_accuracy"] is not None:
        console.print(
            f"certified by interval bounds: {record['certified_accuracy']:.2%}; no attack within eps does worse",
            highlight=False,
        )
    for flag in record["flags"]:
        console.print(f"suspicious: {flag}", highlight=False)
    if not {"square", "autoattack"} & set(record["attacks"]):
        console.print(
            "Gradient attacks alone flatter a net, on MNIST above all: the true robust accuracy is at most this, and"
            " black-box attacks may break more.",
            highlight=False,
        )
    console.print(f"written: {path}", highlight=False, soft_wrap=True)
