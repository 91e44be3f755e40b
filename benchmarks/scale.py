"""What the papers' rows cost on 1, 8 and 64 accelerators, counted: operations, and bytes between them.

    bin/python benchmarks/scale.py [--operations=5e12] [--bandwidth=1e10] [--memory=1e12]

A step on n accelerators takes its operations / n at the sustained rate, and then the ring all-reduce of what each has
to tell the others, 2 (n - 1) / n of the bytes in and out of each, not hidden behind computation. Of the batch each has
its n-th part; validations are shared out over the steps. "projection" is one projection of the kernels onto k weights,
as a part of a step. Nothing is measured here: the rates are round figures, to be replaced by one's own.
"""

from pathlib import Path

import robust_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is imported)

# isort: split
import tf_keras as keras
from absl import app, flags
from rich.console import Console
from rich.table import Column, Table

from robust_tf.compression import atmc
from robust_tf.config import COMPRESSING, TrainConfig, parse
from robust_tf.data import described
from robust_tf.data.pipeline import held_out
from robust_tf.models.build import build
from robust_tf.models.kernels import count, kernels
from robust_tf.training.cost import costs
from robust_tf.training.dry_run import GPU
from robust_tf.training.recipes import RECIPES

OPERATIONS = flags.DEFINE_float("operations", GPU, "float32 operations a second that an accelerator sustains")
BANDWIDTH = flags.DEFINE_float("bandwidth", 1e10, "bytes a second into and out of an accelerator, at once")
MEMORY = flags.DEFINE_float("memory", 1e12, "bytes a second to and from an accelerator's memory")
ACCELERATORS = (1, 8, 64)
# Float32 or int32 vectors as long as the weights that `projections.irregular` reads or writes: |w| (2), its bits and
# their upper half (3), two histograms (3), the comparison and the running count (6), the mask and its product (5).
PASSES = 19


def exchanged(net, stage):
    """Bytes that each replica contributes to the sums of a step: gradients, and batch norm's two sums, twice.

    ATMC's factors are counted; thin layers of ALR as the whole kernels that they stand for.
    """
    if stage.first == "factorise":
        net = atmc.factorise(net)
    norms = [layer for layer in net.layers if isinstance(layer, keras.layers.BatchNormalization)]
    return 4 * (count(net.trainable_weights) + sum(4 * norm.moving_mean.shape[0] for norm in norms))


def row_of(path):
    config = parse(TrainConfig, [f"--flagfile={path}"])
    dataset = described(config.dataset, config.data_dir, config.image_size)
    net = build(config, dataset)
    images = dataset.train_images - held_out(dataset.train_images)
    operations = sum(stage.operations for stage in costs(config, net, dataset.train_images))
    stages = [stage for stage in RECIPES[config.method](config) if stage.epochs]
    steps_of = {stage: stage.epochs * (images // config.batch_size) for stage in stages}
    steps = sum(steps_of.values())
    told = {stage: exchanged(net, stage) for stage in stages}
    moved = sum(steps_of[stage] * told[stage] for stage in stages)  # bytes from each replica, in all
    seconds = {n: operations / n / OPERATIONS.value + 2 * (n - 1) / n * moved / BANDWIDTH.value for n in ACCELERATORS}
    a_step = {n: seconds[n] / steps for n in ACCELERATORS}
    projection = PASSES * 4 * count(kernels(net)) / MEMORY.value
    compresses = config.method in COMPRESSING
    return [
        path.stem,
        f"{operations:.1e}",
        " and ".join(f"{each / 1e6:.1f}" for each in sorted(set(told.values()))),
        *(f"{seconds[n] / 3600:.2f}" for n in ACCELERATORS),
        *(f"{1e3 * a_step[n]:.0f}" for n in ACCELERATORS),
        *(f"{projection / a_step[n]:.2%}" if compresses else "" for n in ACCELERATORS),
    ]


def main(_):
    folder = Path(__file__).resolve().parents[1] / "configs" / "papers"
    columns = [f"{what} on {n}" for what in ("hours", "ms a step", "projection") for n in ACCELERATORS]
    table = Table(Column("row", no_wrap=True), "operations", Column("MB a step", no_wrap=True), *columns)
    for path in sorted(folder.glob("*_*.cfg")):
        table.add_row(*row_of(path))
    Console(width=200, highlight=False).print(table)


if __name__ == "__main__":
    app.run(main)
