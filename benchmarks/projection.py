"""Time and memory of the projections of ResNet34's 21 million kernel weights, compared with a training step.

    bin/python benchmarks/projection.py [--rounds=5] [--batch_size=128] [--steps=7]

ADMM projects once per interval, by default an epoch. ATMC and l0 project after every training step, or as often as
--project_every says. The time of a PGD training step is computed: 2 s + 3 passes over the batch, at the speed of one
gradient step of the attack on a part of the batch.
"""

import resource
import statistics
import time

import robust_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is imported)

# isort: split
import tensorflow as tf
from absl import app, flags

from robust_tf.compression import atmc
from robust_tf.compression.admm import Admm
from robust_tf.models import MODELS
from robust_tf.models.kernels import count, kernels, multiply_adds
from robust_tf.projections.irregular import irregular, top
from robust_tf.training.cost import speed

ROUNDS = flags.DEFINE_integer("rounds", 5, "timed calls of each", lower_bound=1)
BATCH = flags.DEFINE_integer("batch_size", 128, "images per training step", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 7, "gradient steps of the attack", lower_bound=0)
STEPS_PER_EPOCH = 50_000 // 128


def peak():
    """Peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def compare_with_sorting(N):
    """Times the choice of the k largest of N scores: by counting, and by TensorFlow's top_k, which sorts."""

    def by_sorting(scores, k):
        kept = tf.math.top_k(scores, k, sorted=False).indices
        return tf.scatter_nd(kept[:, None], tf.ones_like(kept, scores.dtype), tf.shape(scores))

    scores = tf.abs(tf.random.stateless_normal([N], (0, 0)))
    for ratio in (0.001, 0.01, 0.1, 0.5):
        k, seconds = tf.constant(int(ratio * N)), {top: [], by_sorting: []}
        assert bool(tf.reduce_all(top(scores, k) == by_sorting(scores, k)))
        for _ in range(ROUNDS.value):
            for choose, taken in seconds.items():
                began = time.perf_counter()
                choose(scores, k)
                taken.append(time.perf_counter() - began)
        counted, sorted_ = (statistics.median(taken) for taken in seconds.values())
        ratios = sorted(slow / fast for fast, slow in zip(*seconds.values()))
        print(
            f"the {ratio:.1%} largest of {N:,}: counting {counted:.2f} s, sorting {sorted_:.2f} s,"
            f" {sorted_ / counted:.1f} times as fast ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        )


def main(_):
    net = MODELS["resnet34"]((32, 32, 3), 10)
    N = count(kernels(net))
    step_time = (2 * STEPS.value + 3) * 2 * sum(multiply_adds(net).values()) * BATCH.value / speed(net, batch_size=16)
    print(f"ResNet34: {N:,} kernel weights, {4 * N / 2**20:.0f} MiB; a PGD-{STEPS.value} step of {BATCH.value} images:"
          f" {step_time:.1f} s")  # fmt: skip
    admm, factorised = Admm(kernels(net), irregular, rho=0.01), atmc.factorise(net)
    F = count(atmc.factors(factorised))
    after_step = tf.function(lambda: atmc.project(factorised, N // 100))
    for name, call, steps in (
        ("l0 projection, every step", lambda: irregular(kernels(net), N // 100), 1),
        ("ADMM update, once per epoch", lambda: admm.update(N // 100, 0.01), STEPS_PER_EPOCH),
        (f"ATMC projection of {F:,} factors, every step", after_step, 1),
    ):
        before, seconds = peak(), []
        call()  # traces
        for _ in range(ROUNDS.value):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
        median = statistics.median(seconds)
        print(
            f"{name:<50} {median:7.2f} s ({min(seconds):.2f} to {max(seconds):.2f}),"
            f" {median / steps / step_time:8.3%} of a training step,"
            f" peak memory rises by {max(peak() - before, 0) / 2**20:.0f} MiB"
        )
    compare_with_sorting(N)  # last, because it raises the peak memory too


if __name__ == "__main__":
    app.run(main)
