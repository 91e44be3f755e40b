"""bin/train --dry_run: prints the configuration and the cost of a run, without training."""

import dataclasses
import datetime
from pathlib import Path

import tensorflow as tf
from rich.table import Table

from robust_tf.data import DATASETS, described
from robust_tf.data.held_out import held_out
from robust_tf.flags.kinds import names_file
from robust_tf.flags.text import flagfile
from robust_tf.models.kernels import count, kernels, multiply_adds
from robust_tf.projections import PROJECTIONS
from robust_tf.projections.irregular import irregular
from robust_tf.terminal import screen
from robust_tf.training.cost import costs, speed
from robust_tf.training.images import to_train
from robust_tf.training.methods import METHODS
from robust_tf.training.prepare import PREPARATIONS
from robust_tf.training.projection import budget, projection
from robust_tf.training.run import check_run
from robust_tf.training.rundir import settled
from robust_tf.training.start import starting_net, taught_by

GPU = 5e12  # operations per second of a data-centre GPU in float32 training, a round figure


def dry_run(config):
    """Prints the resolved configuration, the net's size, the operations of each stage and the time they would take.

    Returns the net, untrained, with zeros as the constraint asks for.
    """
    dataset = described(config.dataset, config.data_dir, config.image_size, config.grey)
    dataset, files = to_train(config, dataset)
    if missing := absent(config):
        print(missing, flush=True)
    asked, config = config, settled(config, dataset.train_images)
    images, labels = dataset.load("train", config.data_dir) if names_file(config.model) else (None, None)
    net, _ = starting_net(config, dataset, files, images, labels)
    check_run(config, dataset, net, dataset.train_images - held_out(dataset.train_images))
    console = screen(highlight=False, markup=False)
    shown = dataclasses.replace(config, workdir=asked.workdir)
    console.print("\n".join(flagfile(shown, without=("dry_run",))), soft_wrap=True)
    N, macs = count(kernels(net)), sum(multiply_adds(net).values())
    kept = f", {budget(config.ratio, N):,} kept" if METHODS[config.method].compresses else ""
    console.print(
        f"\n{config.model}: {count(net.trainable_weights):,} parameters, {N:,} of them kernel weights{kept};"
        f" {macs:,} multiply-adds an image"
    )
    teacher = taught_by(config, tuple(dataset.image_shape), tuple(dataset.class_names), files)
    rows, here = costs(config, net, dataset.train_images, teacher), speed(net)
    table = Table(
        "stage", "epochs", "operations", "here", "on a GPU", title=f"{dataset.train_images:,} training images"
    )
    total = sum(row.operations for row in rows)
    for name, epochs, operations in [
        *((row.stage, row.epochs, row.operations) for row in rows),
        ("all", sum(row.epochs for row in rows), total),
    ]:
        table.add_row(name, str(epochs), f"{operations:.2e}", duration(operations / here), duration(operations / GPU))
    console.print(table)
    console.print(
        f"here: {here:.1e} operations per second, measured on one gradient step of the attack; on a GPU: {GPU:.0e},"
        " assumed"
    )
    return constrained(config, net, N)


def absent(config):
    """A line where a data set of TensorFlow Datasets is not in the folder --data_dir; else None."""
    if not config.data_dir or DATASETS[config.dataset].is_own or Path(config.data_dir, config.dataset).is_dir():
        return None
    return f"{config.dataset} is not in {config.data_dir}; training downloads it to there"


def constrained(config, net, N):
    """The untrained net with zeros at random places, as many as the constraint asks for and in its pattern.

    The places come from the projection of standard normal weights: those of a fresh net differ in size from layer to
    layer, so that whole layers would be pruned.
    """
    method, k = METHODS[config.method], budget(config.ratio, N)
    kept_by = PROJECTIONS[config.projection].kept_by if method.projects else "masks"
    if "rank_rule" in method.options or kept_by == "thin layers":
        return PREPARATIONS["low_rank"](config, net, k)
    if method.compresses and kept_by == "masks":
        W = kernels(net)
        normal = [tf.random.stateless_normal(w.shape, (config.seed, i)) for i, w in enumerate(W)]
        project = projection(config, net) if method.projects else irregular
        for w, z in zip(W, project(normal, k)):
            w.assign(tf.where(z != 0, w, 0.0))
    return net


def duration(seconds):
    return str(datetime.timedelta(seconds=round(seconds)))
