"""Images per second of the input pipeline, alone and during training, on 50,000 random images of CIFAR-10's size.

Alone: batches of 128 are drawn as fast as possible, for each kind of augmentation. During training: the training steps
get their images from the pipeline, or always the same batch in memory. The two take turns, and the ratio of their times
is the cost of the pipeline. Measured with FGSM-RS on resnet8, a typical case, and with LeNet on clean images, the
fastest training here.

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
    print("augmentation            images/s, median (min to max)")
    for kinds in (("none",), ("crop", "flip"), ("crop", "flip", "rotate")):
        batches = iter(stream(*data, BATCH, 0, varied=kinds))
        drawn(batches, 20)
        speeds = sorted(200 * BATCH / drawn(batches, 200) for _ in range(rounds))
        print(f"{','.join(kinds):22}  {statistics.median(speeds):,.0f} ({speeds[0]:,.0f} to {speeds[-1]:,.0f})")


def during_training(name, adv_weight, data, rounds, steps=20):
    net = MODELS[name](CIFAR10.image_shape, 10, normalisation=CIFAR10.normalisation)
    model = RobustModel(net, eps=CIFAR10.eps, attack="fgsm_rs", adv_weight=adv_weight)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9))
    step = tf.function(lambda x, y: model.train_step((x, y)))
    batches = iter(stream(*data, BATCH, 0, varied=CIFAR10.augment))
    one_batch = next(batches)

    def seconds(feed):
        started = time.perf_counter()
        for _ in range(steps):
            step(*feed())["loss"].numpy()
        return time.perf_counter() - started

    feeds = {"one batch in memory": lambda: one_batch, "the pipeline": lambda: next(batches)}
    for feed in feeds.values():
        seconds(feed)
    taken = {source: [] for source in feeds}
    for _ in range(rounds):
        for source, feed in feeds.items():
            taken[source].append(seconds(feed))
    attack = "FGSM-RS" if adv_weight else "clean images"
    for source, values in taken.items():
        print(f"{name}, {attack}, images from {source}: {steps * BATCH / statistics.median(values):,.0f} images/s")
    ratios = sorted(pipeline / memory for memory, pipeline in zip(*taken.values()))
    print(f"with the pipeline: {statistics.median(ratios):.3f} times as long ({ratios[0]:.3f} to {ratios[-1]:.3f})")


def main(_):
    data = images()
    alone(data, ROUNDS.value)
    during_training("resnet8", 1.0, data, ROUNDS.value)
    during_training("lenet", 0.0, data, ROUNDS.value, steps=100)


if __name__ == "__main__":
    app.run(main)
