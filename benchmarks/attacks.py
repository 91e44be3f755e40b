"""What a step of each attack costs, in forward passes of the net, all in one process.

    bin/python benchmarks/attacks.py [--model=resnet14] [--batch=100] [--rounds=5]

A step is a gradient step, or a query of Square. The net is random, the images are random, and eps is so small that no
image is broken early. A pass with the gradient of the image costs about two forward passes and is the least that a step
of a gradient attack can cost; FAB also classifies its new point. Seconds are of processor time, so that other programs
disturb them less.
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

MODEL = flags.DEFINE_string("model", "resnet14", "net for 32x32x3, lenet for 28x28x1")
BATCH = flags.DEFINE_integer("batch", 100, "images at once", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 5, "timed rounds of all variants", lower_bound=1)
EPS = 1e-6
# Attack: settings, gradient steps or queries.
STEPS = {
    "pgd": ({"steps": 16}, 16),
    "apgd_ce": ({"steps": 20}, 20),
    "apgd_t": ({"steps": 5}, 45),
    "fab_t": ({"steps": 3}, 27),
    "square": ({"queries": 51}, 51),
}


def main(_):
    keras.utils.set_random_seed(0)
    shape = (28, 28, 1) if MODEL.value == "lenet" else (32, 32, 3)
    net = MODELS[MODEL.value](shape, 10)
    logits_fn = inference(net)
    x = tf.random.uniform((BATCH.value, *shape), seed=0)
    y = tf.argmax(logits_fn(x), -1, tf.int32)

    @tf.function
    def forward():
        return tf.reduce_sum([tf.reduce_sum(logits_fn(x + tf.cast(i, tf.float32) * 1e-6)) for i in range(10)])

    @tf.function
    def gradients():
        total = 0.0
        for i in range(10):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                shifted = x + tf.cast(i, tf.float32) * 1e-6
                tape.watch(shifted)
                z = tf.reduce_sum(logits_fn(shifted))
            total += tf.reduce_sum(tape.gradient(z, shifted))
        return total

    calls = {"forward": (forward, 10), "with the gradient": (gradients, 10)}
    for name, (settings, steps) in STEPS.items():
        calls[name] = (lambda name=name, settings=settings: ATTACKS[name](logits_fn, x, y, eps=EPS, **settings)), steps
    seconds = {name: [] for name in calls}
    for turn in range(ROUNDS.value + 1):  # the first traces
        for name, (call, steps) in calls.items():
            began = time.process_time()
            call().numpy()
            if turn:
                seconds[name].append((time.process_time() - began) / steps)
    for name, found in seconds.items():
        ratios = sorted(own / base for own, base in zip(found, seconds["forward"]))
        print(
            f"{name:<18} {statistics.median(found) / BATCH.value * 1e6:8.0f} us an image and step   "
            f"{statistics.median(ratios):.2f} forward passes (rounds: {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    app.run(main)
