"""A stage's model, optimiser and schedules, as the configuration asks for them."""

import math

import tf_keras as keras

from robust_tf.training import callbacks, schedules
from robust_tf.training.constraint import budget
from robust_tf.training.losses import cross_entropy
from robust_tf.training.model import RobustModel
from robust_tf.training.recipes import RECIPES


def stage_model(config, net, stage, hold, first_step):
    """The compiled RobustModel that trains `net` in this stage."""
    model = RobustModel(
        hold.trained or net,
        eps=config.eps,
        alpha=config.alpha,
        norm=config.norm,
        starts=config.starts if config.random_start else (),
        single_step=config.attack == "fgsm_rs",
        loss=config.loss if stage.adversarial else "mix",
        adv_weight=config.adv_weight if stage.adversarial else 0.0,
        beta=config.beta,
        hold=hold,
        seed=config.seed,
        first_step=first_step,
    )
    model.compile(optimizer(config), loss=cross_entropy(config.label_smoothing))
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


def stage_schedule(config, stage, last, paced, steps_per_epoch=1):
    """eps, steps and learning rate by epoch of the run; a natural stage attacks nothing."""
    epochs, smooth = growing_epochs(config), {"eps": config.loss == "ibp", "learning_rate": False}
    rates, steps = config.learning_rate_schedule, config.steps_schedule
    if isinstance(rates, str):
        smooth["learning_rate"] = rates == "one_cycle"
        whole = max(last, sum(stage.epochs for stage in RECIPES[config.method](config)))
        rates = schedules.LEARNING_RATES[rates](whole, config.learning_rate)
    if isinstance(steps, str):
        steps = schedules.STEPS[steps](epochs)
    eps = config.eps_schedule or schedules.thirds(config.eps, epochs)
    if config.loss == "ibp" and not config.eps_schedule:
        eps = ((0, 0.0), (max(epochs // 2, 1), config.eps))
    return callbacks.Schedule(
        eps=eps if stage.adversarial else ((0, 0.0),),
        steps=(steps or ((0, config.steps),)) if stage.adversarial else ((0, 0),),
        learning_rate=rates or schedules.decayed(config.learning_rate, last),
        paced=paced,
        smooth=[name for name, moves in smooth.items() if moves],
        steps_per_epoch=steps_per_epoch,
    )


def growing_epochs(config):
    """The epochs over which eps grows by default: all but those of fine-tuning."""
    stages = RECIPES[config.method](config)
    return max(sum(stage.epochs for stage in stages if stage.name not in ("finetune", "codebook")), 1)


def ramps(config, stage, first, N, steps_per_epoch, paced):
    """k and rho by step of the stage."""
    total = stage.epochs * steps_per_epoch

    def k_at(step):
        if not stage.k_falls:
            return budget(config.ratio, N)
        step -= paced.stood("k") * steps_per_epoch
        if config.ratio_schedule:
            return budget(schedules.value_at(config.ratio_schedule, first + step // steps_per_epoch), N)
        return budget(schedules.cubic_ratio(step / total, config.ratio), N)

    def rho_at(step):
        return schedules.geometric(min(step / total, 1), config.rho, config.rho_max)

    return k_at, rho_at


def interval(config, stage, steps_per_epoch):
    """Steps between updates of what holds the weights."""
    if stage.held_by == "projected" and stage.k_falls:
        return 1
    return config.admm_interval or steps_per_epoch


def k_final_epoch(config, stage, first):
    """The first epoch of the run at whose end k has its final value."""
    if not stage.k_falls:
        return first
    if config.ratio_schedule:
        return config.ratio_schedule[-1][0]
    return first + math.ceil(0.6 * stage.epochs) - 1
