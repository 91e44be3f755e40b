"""bin/train --dry_run: what a run would be and cost, without training."""

import dataclasses
import datetime

from rich.console import Console
from rich.table import Table

from robust_tf.config import COMPRESSING
from robust_tf.data import described
from robust_tf.data.pipeline import held_out
from robust_tf.flags import idle
from robust_tf.models.build import build
from robust_tf.models.kernels import count, kernels, multiply_adds
from robust_tf.training.constraint import budget
from robust_tf.training.cost import costs, speed
from robust_tf.training.run import check_run, start_from

GPU = 5e12  # operations a second that a data-centre GPU sustains in float32 training, a round figure


def dry_run(config):
    """Prints the resolved configuration, the net's size, the operations of each stage and the time they would take."""
    dataset = described(config.dataset, config.data_dir, config.image_size)
    net = build(config, dataset)
    check_run(config, dataset, net, dataset.train_images - held_out(dataset.train_images))
    if config.init_from:
        start_from(config, net)
    console = Console(highlight=False, markup=False)
    console.print("\n".join(flagfile(config)), soft_wrap=True)
    N, macs = count(kernels(net)), sum(multiply_adds(net).values())
    kept = f", {budget(config.ratio, N):,} kept" if config.method in COMPRESSING else ""
    console.print(
        f"\n{config.model}: {count(net.trainable_weights):,} parameters, {N:,} of them kernel weights{kept};"
        f" {macs:,} multiply-adds an image"
    )
    rows, here = costs(config, net, dataset.train_images), speed(net)
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
        f"here: at {here:.1e} operations a second, as one gradient step of the attack has just taken; a GPU: {GPU:.0e}"
    )


def flagfile(config):
    """The flags that the configuration was read from, defaults included: those that are set and mean something."""
    names = [field.name for field in dataclasses.fields(config)]
    nothing = {name for name, _, _ in idle(config, names)} | {"dry_run"}
    meant = [name for name in names if name not in nothing and getattr(config, name) is not None]
    typed = {name: as_flag(getattr(config, name)) for name in meant}
    if "image_size" in typed:
        typed["image_size"] = "x".join(map(str, config.image_size))
    return [f"--{name}={text}" for name, text in typed.items()]


def as_flag(value):
    """A flag's value as it is typed; pairs as epoch:value."""
    if isinstance(value, tuple):
        return ",".join(":".join(map(str, part)) if isinstance(part, tuple) else str(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def duration(seconds):
    return str(datetime.timedelta(seconds=round(seconds)))
