"""Images a second of the input pipeline, alone and beside training, on 50,000 random images of CIFAR-10's size.

Alone: batches of 128 are drawn as fast as they come, by augmentation. Beside training: once fed by the pipeline and
once by one batch that stays in memory; they take turns, and their ratio says what the pipeline costs. That is FGSM-RS
on resnet8, a usual case, and LeNet on clean images, which is as fast as training gets here.

    bin/python benchmarks/input_pipeline.py [--rounds=5]
"""

import statistics
import time

import robust_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is imported)

# isort: split
import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import app, flags

from robust_tf.data import DATASETS
from robust_tf.data.pipeline import stream
from robust_tf.models import MODELS
from robust_tf.training.model import RobustModel

ROUNDS = flags.DEFINE_integer("rounds", 5, "timed rounds", lower_bound=1)
BATCH = 128
CIFAR10 = DATASETS["cifar10"]


def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (50000, 32, 32, 3), np.uint8), rng.integers(0, 10, 50000)


def drawn(batches, count):
    """Seconds for `count` batches of an iterator."""
    started = time.perf_counter()
    for _ in range(count):
        next(batches)
    return time.perf_counter() - started


def alone(data, rounds):
    print("augmentation            images/s, median (least to most)")
    for kinds in (("none",), ("crop", "flip"), ("crop", "flip", "rotate")):
        batches = iter(stream(*data, BATCH, 0, varied=kinds))
        drawn(batches, 20)
        speeds = sorted(200 * BATCH / drawn(batches, 200) for _ in range(rounds))
        print(f"{','.join(kinds):22}  {statistics.median(speeds):,.0f} ({speeds[0]:,.0f} to {speeds[-1]:,.0f})")


def beside_training(name, adv_weight, data, rounds, steps=20):
    net = MODELS[name](CIFAR10.image_shape, 10, normalisation=CIFAR10.normalisation)
    model = RobustModel(net, eps=CIFAR10.eps, single_step=True, adv_weight=adv_weight)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9))
    step = tf.function(lambda x, y: model.train_step((x, y)))
    batches = iter(stream(*data, BATCH, 0, varied=CIFAR10.augment))
    held = next(batches)

    def seconds(feed):
        started = time.perf_counter()
        for _ in range(steps):
            step(*feed())["loss"].numpy()
        return time.perf_counter() - started

    feeds = {"one batch in memory": lambda: held, "the pipeline": lambda: next(batches)}
    for feed in feeds.values():
        seconds(feed)
    taken = {what: [] for what in feeds}
    for _ in range(rounds):
        for what, feed in feeds.items():
            taken[what].append(seconds(feed))
    attack = "FGSM-RS" if adv_weight else "clean images"
    for feed, values in taken.items():
        print(f"{name}, {attack}, fed by {feed}: {steps * BATCH / statistics.median(values):,.0f} images/s")
    ratios = sorted(fed / held for held, fed in zip(*taken.values()))
    print(f"fed by the pipeline: {statistics.median(ratios):.3f} times as long ({ratios[0]:.3f} to {ratios[-1]:.3f})")


def main(_):
    data = images()
    alone(data, ROUNDS.value)
    beside_training("resnet8", 1.0, data, ROUNDS.value)
    beside_training("lenet", 0.0, data, ROUNDS.value, steps=100)


if __name__ == "__main__":
    app.run(main)
