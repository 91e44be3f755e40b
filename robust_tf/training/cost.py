"""What a training costs, counted: floating-point operations, and the time they take at a measured speed.

A *pass* is one forward pass of one image, 2 * multiply-adds operations. The gradient for the image takes another, the
one for the weights a third. s steps of PGD are 2s passes; training on a batch is 3.
"""

import time
from dataclasses import dataclass

import tensorflow as tf

from robust_tf.attacks.pgd import pgd
from robust_tf.data.pipeline import held_out
from robust_tf.models.kernels import multiply_adds
from robust_tf.training.callbacks import Paced
from robust_tf.training.model import MEASURED
from robust_tf.training.recipes import RECIPES
from robust_tf.training.schedules import value_at
from robust_tf.training.stage import stage_schedule

VALIDATION_PASSES = 2 * 10 + 2  # PGD-10, then both kinds of images


@dataclass(frozen=True)
class Cost:
    """Of one stage: its name, epochs, and operations of all of them."""

    stage: str
    epochs: int
    operations: float


def costs(config, net, train_images):
    """A Cost for each stage; factorised or thin layers are counted as the dense net's."""
    validated = held_out(train_images)
    a_pass, first, rows = 2 * sum(multiply_adds(net).values()), 0, []
    for stage in RECIPES[config.method](config):
        steps = stage_schedule(config, stage, first + stage.epochs, Paced("none", 0.0)).sequences["steps"]
        passes = sum(
            (train_images - validated) * passes_an_image(config, stage, value_at(steps, epoch))
            + validated * VALIDATION_PASSES
            for epoch in range(first, first + stage.epochs)
        )
        rows.append(Cost(stage.name, stage.epochs, passes * a_pass))
        first += stage.epochs
    return [row for row in rows if row.epochs]


def passes_an_image(config, stage, steps):
    """Passes that training takes for each image of a step."""
    if not stage.adversarial:
        return 3
    clean = 3 if config.loss != "mix" or config.adv_weight < 1 else MEASURED / config.batch_size
    if config.loss == "ibp":
        return clean + 2 * 3  # a centre and a radius through every layer
    return 2 * (1 if config.attack == "fgsm_rs" else steps) + 3 + clean


def speed(net, batch_size=64, repeats=3):
    """Operations a second of this machine in a gradient step of PGD on `net`: the best of some."""
    x = tf.random.stateless_uniform((batch_size, *net.input_shape[1:]), (0, 0))
    y = tf.zeros(batch_size, tf.int32)
    step = tf.function(lambda: pgd(lambda v: net(v, training=False), x, y, eps=0.1, steps=1))
    step()  # traces
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return 2 * 2 * sum(multiply_adds(net).values()) * batch_size / min(seconds)
