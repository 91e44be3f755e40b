"""The cost of training: floating-point operations, and the time they take at a measured speed.

A *pass* is one forward pass of one image, 2 * multiply-adds operations. The gradient with respect to the image takes
another pass, the gradient with respect to the weights a third. For each image, s gradient steps of PGD take 2s passes
and the weight update takes 3.
"""

import time
from dataclasses import dataclass

import tensorflow as tf

from robust_tf.attacks.pgd import pgd
from robust_tf.data.held_out import held_out
from robust_tf.models.kernels import multiply_adds
from robust_tf.training import LOSSES, TRAINING_ATTACKS
from robust_tf.training.callbacks.pacing import AdaptivePacing
from robust_tf.training.methods import METHODS
from robust_tf.training.model import MEASURED
from robust_tf.training.schedules import value_at
from robust_tf.training.stage import stage_schedule

VALIDATION_PASSES = 2 * 10 + 2  # PGD-10, then the clean and the adversarial image


@dataclass(frozen=True)
class Cost:
    """The cost of one stage: its name, its epochs, and the operations of all its epochs."""

    stage: str
    epochs: int
    operations: float


def costs(config, net, train_images, teacher=None):
    """A Cost for each stage; counts factorised or thin layers as the dense layers that they replace.

    teacher: the net of --teacher, or None.
    """
    validated = held_out(train_images)
    operations_per_pass, first_epoch, rows = 2 * sum(multiply_adds(net).values()), 0, []
    for stage in METHODS[config.method].stages(config):
        end_epoch = first_epoch + stage.epochs
        steps = stage_schedule(config, stage, first_epoch, AdaptivePacing("none")).sequences["steps"]
        passes = sum(
            (train_images - validated) * passes_an_image(config, stage, value_at(steps, epoch))
            + validated * VALIDATION_PASSES
            for epoch in range(first_epoch, end_epoch)
        )
        taught = stage.epochs * (train_images - validated) * 2 * sum(multiply_adds(teacher).values()) if teacher else 0
        rows.append(Cost(stage.name, stage.epochs, passes * operations_per_pass + taught * stage.adversarial))
        first_epoch = end_epoch
    return [row for row in rows if row.epochs]


def passes_an_image(config, stage, steps):
    """Passes for each image in a training step."""
    if not stage.adversarial:
        return 3
    loss = LOSSES[config.loss]
    clean = 3 if loss.uses_clean or config.adv_weight < 1 else MEASURED / config.batch_size
    attack = 2 * (1 if TRAINING_ATTACKS[config.attack].single_step else steps) if loss.attack_for else 0
    worst = 2 * 3 if loss.certifies else 3  # of bounds a centre and a radius through every layer
    return clean + attack + worst


def speed(net, batch_size=64, repeats=3):
    """Operations per second of this machine in a gradient step of PGD on `net`: the best of `repeats` measurements."""
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
