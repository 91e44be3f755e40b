"""The cost of a PGD training step in units of a clean training step, all in one process.

    bin/python benchmarks/pgd_step.py [--model=lenet] [--width=1] [--steps=16] [--batch_size=128] [--rounds=15]

A clean step is a forward pass and a backward pass, which costs about twice as much. A gradient step of the attack needs
the forward pass and the gradient of the input, but no weight gradients: about 2/3 of a clean step. So the arithmetic
cost of a PGD-s training step is (2 s + 3) / 3 clean steps. The measured cost can be lower, because the attack uses a
faster form of the net (`models/fast.py`), which training cannot use. For comparison, the attack also runs without that
form, and with the loop of CleverHans. The variants take turns, so that a slow phase of the machine affects all of them.
"""

import statistics
import time

import robust_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is imported)

# isort: split
import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import app, flags
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

from robust_tf.attacks.balls import BALLS
from robust_tf.models import MODELS
from robust_tf.models.fast import inference_form
from robust_tf.training.model import RobustModel

MODEL = flags.DEFINE_string("model", "lenet", "a net of MODELS")
WIDTH = flags.DEFINE_float("width", 1.0, "its width multiplier")
STEPS = flags.DEFINE_integer("steps", 16, "gradient steps of the attack", lower_bound=1)
BATCH = flags.DEFINE_integer("batch_size", 128, "images per training step", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 15, "timed rounds of all variants", lower_bound=1)
EPS = 0.3


def variants(x, y):
    """{name: function that runs one step}."""

    def step(adv_weight, steps=0):
        keras.utils.set_random_seed(0)
        more = {"conv_relu": True} if MODEL.value == "lenet" else {}
        net = MODELS[MODEL.value](x.shape[1:], 10, width=WIDTH.value, **more)
        model = RobustModel(net, eps=EPS, steps=steps, adv_weight=adv_weight)
        model.compile("adam")
        return net, model, tf.function(lambda x, y: model.train_step((x, y)))

    _, _, clean = step(0.0)
    _, _, ours = step(1.0, STEPS.value)
    net, model, on_plain_layers = step(1.0, STEPS.value)
    model.attacked = net
    net, _, train_on = step(1.0, 0)
    fast = inference_form(net)

    @tf.function
    def cleverhans(x, y):
        x_adv = projected_gradient_descent(
            fast, x, EPS, min(2.5 * EPS / STEPS.value, EPS), STEPS.value, np.inf, y=y, clip_min=0.0, clip_max=1.0,
            rand_init=True, sanity_checks=False,
        )  # fmt: skip
        return train_on(x_adv, y)

    @tf.function
    def update(x, gradient):
        moved = x + 0.1 * BALLS["linf"].ascend(gradient)
        return tf.clip_by_value(x + BALLS["linf"].project(moved - x, EPS), 0.0, 1.0)

    return {
        "sign, projection and clip of one gradient step": lambda: update(x, x),
        "clean step": lambda: clean(x, y),
        f"PGD-{STEPS.value} step": lambda: ours(x, y),
        f"PGD-{STEPS.value} step, attack on plain layers": lambda: on_plain_layers(x, y),
        f"PGD-{STEPS.value} step, attack by CleverHans": lambda: cleverhans(x, y),
    }


def main(_):
    generator = np.random.default_rng(0)
    shape = (28, 28, 1) if MODEL.value == "lenet" else (32, 32, 3)
    x = tf.constant(generator.random((BATCH.value, *shape), np.float32))
    y = tf.constant(generator.integers(0, 10, BATCH.value))
    steps = variants(x, y)
    seconds = {name: [] for name in steps}
    for turn in range(ROUNDS.value + 2):  # the first two trace and warm up
        for name, step in steps.items():
            began = time.perf_counter()
            tf.nest.map_structure(lambda t: t.numpy(), step())
            if turn >= 2:
                seconds[name].append(time.perf_counter() - began)
    clean, ours = (statistics.median(seconds[name]) for name in ("clean step", f"PGD-{STEPS.value} step"))
    print(f"{MODEL.value} of width {WIDTH.value}, batch {BATCH.value}, median of {ROUNDS.value} rounds")
    for name, values in seconds.items():
        ratios = sorted(value / clean_value for value, clean_value in zip(values, seconds["clean step"]))
        median = statistics.median(values)
        print(
            f"{name:<46} {median * 1e3:8.1f} ms   {median / clean:5.1f} clean steps"
            f"   (rounds: {ratios[0]:.1f} to {ratios[-1]:.1f})   {median / ours:5.2f} PGD-{STEPS.value} steps"
        )
    print(f"{'arithmetic cost (2 s + 3) / 3':<46} {'':>8}      {(2 * STEPS.value + 3) / 3:5.1f} clean steps")


if __name__ == "__main__":
    app.run(main)
