"""The estimated cost of the papers' rows on 1, 8 and 64 accelerators, from counted operations and exchanged bytes.

    bin/python benchmarks/scale.py [--operations=5e12] [--bandwidth=1e10] [--memory=1e12]

A training step on n accelerators takes operations / n at the sustained rate, and after that a ring all-reduce, which
moves 2 (n - 1) / n of the exchanged bytes in and out of each accelerator and does not overlap with computation. Each
accelerator has 1 / n of the batch. The cost of validation is spread over the steps. "projection" is one projection of
the kernels onto k weights, as a fraction of a step. Nothing is measured here; replace the round default rates with your
own.
"""

from pathlib import Path

import robust_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is imported)

# isort: split
import tf_keras as keras
from absl import app, flags
from rich.console import Console
from rich.table import Column, Table

from robust_tf.compression import atmc
from robust_tf.data import described
from robust_tf.data.held_out import held_out
from robust_tf.flags.declare import parse
from robust_tf.models.build import build
from robust_tf.models.kernels import count, kernels
from robust_tf.training.config import TrainConfig
from robust_tf.training.cost import costs
from robust_tf.training.dry_run import GPU
from robust_tf.training.methods import METHODS

OPERATIONS = flags.DEFINE_float("operations", GPU, "float32 operations per second that an accelerator sustains")
BANDWIDTH = flags.DEFINE_float("bandwidth", 1e10, "bytes per second into and, at the same time, out of an accelerator")
MEMORY = flags.DEFINE_float("memory", 1e12, "bytes per second to and from an accelerator's memory")
ACCELERATORS = (1, 8, 64)
# How often `projections.irregular` reads or writes a 4-byte vector with one entry per weight: |w| (2), its bits and
# their upper half (3), two histograms (3), the comparison and the running count (6), the mask and its product (5).
PASSES = 19


def exchanged(net, stage):
    """Bytes that each replica contributes to the sums of a training step.

    These are the gradients and four sums per channel of each batch norm. ATMC's factors are counted. The thin layers of
    ALR are counted as the full kernels that they replace.
    """
    if stage.prepare == "factorise":
        net = atmc.factorise(net)
    norms = [layer for layer in net.layers if isinstance(layer, keras.layers.BatchNormalization)]
    return 4 * (count(net.trainable_weights) + sum(4 * norm.moving_mean.shape[0] for norm in norms))


def row_of(path):
    config = parse(TrainConfig, [f"--flagfile={path}"])
    dataset = described(config.dataset, config.data_dir, config.image_size)
    net = build(config, dataset)
    images = dataset.train_images - held_out(dataset.train_images)
    operations = sum(stage.operations for stage in costs(config, net, dataset.train_images))
    stages = [stage for stage in METHODS[config.method].stages(config) if stage.epochs]
    steps_of = {stage: stage.epochs * (images // config.batch_size) for stage in stages}
    steps = sum(steps_of.values())
    bytes_of = {stage: exchanged(net, stage) for stage in stages}
    total_bytes = sum(steps_of[stage] * bytes_of[stage] for stage in stages)  # from each replica
    seconds = {
        n: operations / n / OPERATIONS.value + 2 * (n - 1) / n * total_bytes / BANDWIDTH.value for n in ACCELERATORS
    }
    per_step = {n: seconds[n] / steps for n in ACCELERATORS}
    projection = PASSES * 4 * count(kernels(net)) / MEMORY.value
    compresses = METHODS[config.method].compresses
    return [
        path.stem,
        f"{operations:.1e}",
        " and ".join(f"{each / 1e6:.1f}" for each in sorted(set(bytes_of.values()))),
        *(f"{seconds[n] / 3600:.2f}" for n in ACCELERATORS),
        *(f"{1e3 * per_step[n]:.0f}" for n in ACCELERATORS),
        *(f"{projection / per_step[n]:.2%}" if compresses else "" for n in ACCELERATORS),
    ]


def main(_):
    folder = Path(__file__).resolve().parents[1] / "configs" / "papers"
    columns = [f"{figure} on {n}" for figure in ("hours", "ms per step", "projection") for n in ACCELERATORS]
    table = Table(Column("row", no_wrap=True), "operations", Column("MB per step", no_wrap=True), *columns)
    for path in sorted(folder.glob("*_*.cfg")):
        table.add_row(*row_of(path))
    Console(width=200, highlight=False).print(table)


if __name__ == "__main__":
    app.run(main)
