"""The model, optimiser and schedules of a stage, from the configuration."""

import math

import tf_keras as keras

from robust_tf.training import LOSSES, schedules
from robust_tf.training.callbacks.schedule import Schedule
from robust_tf.training.losses import CrossEntropy
from robust_tf.training.methods import METHODS
from robust_tf.training.model import RobustModel
from robust_tf.training.projection import budget


def stage_model(config, net, stage, constraint, first_step, class_weights=None, teacher=None):
    """The compiled RobustModel that trains `net` in this stage; class_weights: see `losses.CrossEntropy`."""
    model = RobustModel(
        constraint.trained or net,
        eps=config.eps,
        alpha=config.alpha,
        norm=config.norm,
        starts=config.starts if config.random_start else (),
        attack=config.attack,
        loss=config.loss if stage.adversarial else "mix",
        adv_weight=config.adv_weight if stage.adversarial else 0.0,
        beta=config.beta,
        box=config.box,
        teacher=teacher if stage.adversarial else None,
        constraint=constraint,
        seed=config.seed,
        first_step=first_step,
    )
    model.compile(optimizer(config), loss=CrossEntropy(config.label_smoothing, class_weights))
    model.optimizer.build(model.net.trainable_variables)
    return model


def optimizer(config):
    """SGD with momentum 0.9 or Adam; kernels decay, biases and batch-norm variables do not."""
    common = {
        "weight_decay": config.weight_decay or None,
        "global_clipnorm": config.clip_norm,
        "use_ema": config.ema > 0,
        "ema_momentum": config.ema,
    }
    if config.optimizer == "adam":
        chosen = keras.optimizers.Adam(config.learning_rate, **common)
    else:
        chosen = keras.optimizers.SGD(config.learning_rate, momentum=0.9, **common)
    chosen.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return chosen


def stage_schedule(config, stage, first_epoch, pacing, steps_per_epoch=1):
    """The Schedule of a stage that begins at `first_epoch` of the run; without attack if it trains on clean images."""
    epochs, certifies = growing_epochs(config), LOSSES[config.loss].certifies
    steps, smooth = config.steps_schedule, ["eps"] if certifies else []
    rates, interpolates = learning_rates(config, stage, first_epoch)
    smooth += ["learning_rate"] if interpolates else []
    if isinstance(steps, str):
        steps = schedules.STEPS_SCHEDULES[steps](epochs)
    eps = config.eps_schedule or schedules.thirds(config.eps, epochs)
    if certifies and not config.eps_schedule:
        eps = ((0, 0.0), (max(epochs // 2, 1), config.eps))
    return Schedule(
        eps=eps if stage.adversarial else ((0, 0.0),),
        steps=(steps or ((0, config.steps),)) if stage.adversarial else ((0, 0),),
        learning_rate=rates,
        pacing=pacing,
        smooth=smooth,
        steps_per_epoch=steps_per_epoch,
    )


def learning_rates(config, stage, first_epoch):
    """(sequence of the learning rate by epoch of the run, whether it is interpolated linearly) for a stage.

    Each stage is a training of its own, with its own rate and its own drops, as in the papers. Only a sequence that the
    user gives, and a named one for the whole run, count from the start of the run.
    """
    rates = config.learning_rate_schedule
    if rates is None:
        return schedules.delayed(schedules.decayed(config.learning_rate, stage.epochs), first_epoch), False
    if not isinstance(rates, str):
        return rates, False
    named = schedules.LEARNING_RATES[rates]
    if named.whole_run:
        epochs = sum(each.epochs for each in METHODS[config.method].stages(config))
        return named.pairs(stage.name, max(first_epoch + stage.epochs, epochs), config.learning_rate), named.smooth
    return schedules.delayed(named.pairs(stage.name, stage.epochs, config.learning_rate), first_epoch), named.smooth


def growing_epochs(config):
    """The epochs over which eps grows by default: those of a dense start, or else all but those of fine-tuning."""
    first, *rest = METHODS[config.method].stages(config)
    return max(first.epochs or sum(stage.epochs for stage in rest if stage.eps_grows), 1)


def ramps(config, stage, first_epoch, N, steps_per_epoch, pacing):
    """(k_at, rho_at): k and rho as functions of the stage's training step."""
    total = stage.epochs * steps_per_epoch

    def k_at(step):
        if not stage.k_falls:
            return budget(config.ratio, N)
        step -= pacing.epochs_waited("k") * steps_per_epoch
        if config.ratio_schedule:
            return budget(schedules.value_at(config.ratio_schedule, first_epoch + step // steps_per_epoch), N)
        return budget(schedules.cubic_ratio(step / total, config.ratio), N)

    def rho_at(step):
        if stage.rho is not None:
            return stage.rho
        return schedules.geometric(min(step / total, 1), config.rho, config.rho_max)

    return k_at, rho_at


def interval(config, stage, steps_per_epoch):
    """Training steps between updates of the weight constraint."""
    if stage.k_falls and stage.k_every_step:
        return 1
    return stage.interval or config.admm_interval or steps_per_epoch


def k_final_epoch(config, stage, first_epoch):
    """The first epoch of the run at whose end k has its final value."""
    if not stage.k_falls:
        return first_epoch
    if config.ratio_schedule:
        return config.ratio_schedule[-1][0]
    return first_epoch + math.ceil(0.6 * stage.epochs) - 1
