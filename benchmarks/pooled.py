"""The time saved by fusing LeNet's first convolution with its pooling, all in one process.

    bin/python benchmarks/pooled.py [--rounds=9]

The plain and the fused net take turns, so that a slow phase of the machine affects both. Other machines may have other
times but similar ratios. The convolutions of the plain net are of a subclass, which `models.fast` does not fuse.
"""

import statistics
import time

import robust_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is imported)

# isort: split
import tensorflow as tf
import tf_keras as keras
from absl import app, flags

from robust_tf.attacks import ATTACKS
from robust_tf.evaluation.accuracy import inference
from robust_tf.models import MODELS
from robust_tf.training.model import RobustModel

ROUNDS = flags.DEFINE_integer("rounds", 9, "timed rounds of all variants", lower_bound=1)
EPS = 0.3


class Plain(keras.layers.Conv2D):
    """A convolution that is not fused."""


def lenet(plain):
    keras.utils.set_random_seed(0)
    net = MODELS["lenet"]((28, 28, 1), 10, conv_relu=True)
    if not plain:
        return net
    swap = lambda layer: Plain.from_config(layer.get_config()) if isinstance(layer, keras.layers.Conv2D) else layer
    return keras.models.clone_model(net, clone_function=swap)


def training(plain, **settings):
    x, y = tf.random.uniform((128, 28, 28, 1), seed=0), tf.zeros(128, tf.int32)
    model = RobustModel(lenet(plain), eps=EPS, **settings)
    model.compile("adam")
    step = tf.function(lambda: model.train_step((x, y)))
    return lambda: step()["loss"].numpy()


def attack(plain, name, **settings):
    x = tf.random.uniform((500, 28, 28, 1), seed=0)
    logits_fn = inference(lenet(plain))
    y = tf.argmax(logits_fn(x), -1)
    return lambda: ATTACKS[name](logits_fn, x, y, eps=1e-6, **settings).numpy()  # too small to break any image early


VARIANTS = {
    "PGD-7 training step, batch 128": lambda plain: training(plain, steps=7),
    "interval bounds training step, batch 128": lambda plain: training(plain, loss="ibp", adv_weight=0.5),
    "APGD-CE, 20 steps, batch 500": lambda plain: attack(plain, "apgd_ce", steps=20),
    "Square, 100 queries, batch 500": lambda plain: attack(plain, "square", queries=100),
}


def main(_):
    for name, build in VARIANTS.items():
        calls = {"plain": build(True), "fused": build(False)}
        seconds = {kind: [] for kind in calls}
        for turn in range(ROUNDS.value + 2):  # the first two trace and warm up
            for kind, call in calls.items():
                began = time.perf_counter()
                call()
                if turn >= 2:
                    seconds[kind].append(time.perf_counter() - began)
        plain, fused = (statistics.median(seconds[kind]) for kind in calls)
        ratios = sorted(a / b for a, b in zip(seconds["plain"], seconds["fused"]))
        print(
            f"{name:<42} plain {plain * 1e3:7.0f} ms   fused {fused * 1e3:7.0f} ms   {plain / fused:.2f} times as fast"
            f"   (rounds: {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    app.run(main)
