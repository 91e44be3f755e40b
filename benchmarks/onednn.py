"""Training steps with and without oneDNN's kernels. robust_tf enables them; TensorFlow leaves them off on some CPUs.

A process can choose only once, so each measurement is a separate process; the two settings take turns.

    bin/python benchmarks/onednn.py [--rounds=3]
"""

import os
import statistics
import subprocess
import sys
import time

from absl import app, flags

ROUNDS = flags.DEFINE_integer("rounds", 3, "processes for each training step and setting", lower_bound=1)
STEP = flags.DEFINE_string("step", None, "measure only this training step, in this process, and print its seconds")
STEPS = {
    "LeNet, PGD-7": ("lenet", (28, 28, 1), {"conv_relu": True}, {"eps": 0.3, "steps": 7}),
    "LeNet, interval bounds": ("lenet", (28, 28, 1), {"conv_relu": True}, {"eps": 0.3, "loss": "ibp"}),
    "resnet8, FGSM-RS": ("resnet8", (32, 32, 3), {}, {"eps": 8 / 255, "attack": "fgsm_rs", "adv_weight": 1.0}),
    "resnet14, FGSM-RS": ("resnet14", (32, 32, 3), {}, {"eps": 8 / 255, "attack": "fgsm_rs", "adv_weight": 1.0}),
    "mobilenet_v2_edge, FGSM-RS": (
        "mobilenet_v2_edge", (32, 32, 3), {"width": 0.25}, {"eps": 8 / 255, "attack": "fgsm_rs", "adv_weight": 1.0}
    ),
}  # fmt: skip


def measure(name, repeats=8):
    """Median seconds of a training step on 128 images."""
    import robust_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is imported)

    # isort: split
    import tensorflow as tf

    from robust_tf.models import MODELS
    from robust_tf.training.model import RobustModel

    net, shape, options, settings = STEPS[name]
    model = RobustModel(MODELS[net](shape, 10, **options), **settings)
    model.compile("sgd")
    x, y = tf.random.stateless_uniform((128, *shape), (0, 0)), tf.zeros(128, tf.int32)
    step = tf.function(lambda: model.train_step((x, y)))
    seconds = []
    for _ in range(repeats + 2):  # the first two trace and warm up
        began = time.perf_counter()
        step()["loss"].numpy()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:])


def in_own_process(name, onednn):
    command = [sys.executable, __file__, f"--step={name}"]
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main(_):
    if STEP.value:
        print(measure(STEP.value))
        return
    for name in STEPS:
        pairs = [(in_own_process(name, "0"), in_own_process(name, "1")) for _ in range(ROUNDS.value)]
        off, on = (statistics.median(column) for column in zip(*pairs))
        ratios = sorted(without_it / with_it for without_it, with_it in pairs)
        print(
            f"{name:<28} without {off * 1e3:6.0f} ms   with {on * 1e3:6.0f} ms   {off / on:.2f} times as fast"
            f"   (rounds: {ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
