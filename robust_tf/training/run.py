"""train(config): the stages of a recipe, one after the other, in one run directory."""

import inspect
import math
from functools import partial

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from robust_tf import rundir
from robust_tf.compression import masks
from robust_tf.compression.admm import Admm
from robust_tf.config import PRUNING
from robust_tf.data import DATASETS
from robust_tf.data.pipeline import batches, split_validation, stream
from robust_tf.models import MODELS
from robust_tf.models.kernels import kernel_layers, kernels
from robust_tf.models.load import load_net
from robust_tf.projections import PROJECTIONS
from robust_tf.refusal import Refusal
from robust_tf.terminal import progress_bar
from robust_tf.training import callbacks, schedules
from robust_tf.training.model import RobustModel
from robust_tf.training.recipes import RECIPES


def train(config):
    """Trains as `config` says, or goes on where the same run stopped; returns the run directory.

    Test data is never read: the accuracies in summary.json are of held-out training images.
    """
    rundir.claimable(config)
    keras.utils.set_random_seed(config.seed)
    dataset = DATASETS[config.dataset]
    data, held_out = split_validation(*dataset.load("train", config.data_dir), config.seed)
    if len(data[0]) < config.batch_size:
        raise Refusal(f"--batch_size: expected at most the {len(data[0])} training images; got {config.batch_size}")
    total = config.epochs * (len(data[0]) // config.batch_size)
    if config.admm_interval and config.admm_interval > total:
        raise Refusal(f"--admm_interval: expected at most the stage's {total} steps; got {config.admm_interval}")
    validation = batches(*held_out, batch_size=500)
    options = {"conv_relu": True} if config.conv_relu else {}
    net = MODELS[config.model](dataset.image_shape, len(dataset.class_names), width=config.width, **options)

    if config.init_from:
        net.set_weights(load_start(config).get_weights())
    if any(stage.held_by for stage in RECIPES[config.method](config)):
        check_feasible(config, net)

    workdir = rundir.claim(config)
    first = 0
    for stage in RECIPES[config.method](config):
        if stage.epochs:
            run_stage(config, workdir, net, stage, first, data, validation)
        first += stage.epochs
    for w in kernels(net):
        w.assign(w + 0.0)  # masks leave -0.0 too, and files of one kind of zero compress better
    record = summary(config, workdir, net, validation, len(held_out[0]))
    rundir.replace(workdir / "model.keras", net.save)
    rundir.write_json(workdir / "summary.json", record)
    return workdir


def run_stage(config, workdir, net, stage, first, data, validation):
    """Trains `net` for the epochs [first, first + stage.epochs) of the run, and leaves in it what the stage ships."""
    last, steps_per_epoch = first + stage.epochs, len(data[0]) // config.batch_size
    folder = workdir / "checkpoints" / f"{stage.name}-from-{first}"
    final = folder / f"final-{last}.weights.h5"
    if final.exists():
        read(final, net.load_weights)
        return
    folder.mkdir(parents=True, exist_ok=True)
    if stage.prune:
        W = kernels(net)
        for w, z in zip(W, projection(config)(W, budget(config.ratio, count(W)))):
            w.assign(z)
    admm = Admm(kernels(net), projection(config), config.rho) if stage.held_by == "admm" else None
    model = stage_model(config, net, stage, admm, first * steps_per_epoch)
    schedule = stage_schedule(config, stage, last)
    selects_from = max(schedule.sequences["eps"][-1][0], k_final_epoch(config, stage, first))
    monitor = "robust_accuracy" if stage.adversarial else "accuracy"
    best = callbacks.KeepBest(net, folder / "best.weights.h5", monitor, first_epoch=min(selects_from, last - 1))

    epoch = tf.Variable(first, trainable=False, dtype=tf.int64)
    state = tf.train.Checkpoint(model=model, epoch=epoch, best=best.best)
    manager = tf.train.CheckpointManager(state, folder, max_to_keep=1)
    read(folder, lambda _: manager.restore_or_initialize())
    start = int(epoch)
    if start > last:
        raise Refusal(f"{folder}: expected --epochs of at least {start - first}, as trained; got {stage.epochs}")
    with progress_bar() as progress:
        model.fit(
            stream(*data, config.batch_size, config.seed, start * steps_per_epoch),
            steps_per_epoch=steps_per_epoch,
            initial_epoch=start,
            epochs=last,
            validation_data=validation,
            verbose=0,
            callbacks=[
                callbacks.StopOnNan(),
                schedule,
                best,  # before what holds the weights, so that it sees those that were validated
                *held_by(config, stage, first, admm, steps_per_epoch),
                callbacks.History(workdir / "history.csv", stage.name, start),
                callbacks.Report(progress, stage.name, start, last, steps_per_epoch),
                keras.callbacks.TensorBoard(workdir / "tensorboard" / folder.name, write_graph=False),
                callbacks.Checkpoints(manager, epoch, config.checkpoint_every, last),
            ],
        )
    if stage.held_by == "masks":
        masks.apply(model.net)
    if best.path.exists():
        read(best.path, net.load_weights)
    elif admm:
        admm.project_hard(budget(config.ratio, count(admm.W)))
    rundir.replace(final, net.save_weights)


def stage_model(config, net, stage, admm, first_step):
    """The compiled RobustModel that trains `net` in this stage."""
    model = RobustModel(
        masks.wrap(net) if stage.held_by == "masks" else net,
        eps=config.eps,
        alpha=config.alpha,
        norm=config.norm,
        random_start=config.random_start,
        adv_weight=config.adv_weight if stage.adversarial else 0.0,
        admm=admm,
        seed=config.seed,
        first_step=first_step,
    )
    model.compile(optimizer(config))
    model.optimizer.build(net.trainable_variables)
    return model


def stage_schedule(config, stage, last):
    """eps, steps and learning rate by epoch of the run; a natural stage attacks nothing."""
    return callbacks.Schedule(
        eps=eps_sequence(config) if stage.adversarial else ((0, 0.0),),
        steps=(config.steps_schedule or ((0, config.steps),)) if stage.adversarial else ((0, 0),),
        learning_rate=config.learning_rate_schedule or schedules.decayed(config.learning_rate, last),
    )


def read(path, load):
    """load(path); raises Refusal where what an earlier run left there is damaged."""
    try:
        return load(path)
    except Exception as error:  # h5py and TensorFlow raise many types
        reason = [*str(error).splitlines(), ""][0]
        raise Refusal(
            f"expected a readable checkpoint in {path}; got {reason}; without it training starts anew"
        ) from error


def held_by(config, stage, first, admm, steps_per_epoch):
    """The callbacks that hold the weights of a stage."""
    if stage.held_by == "masks":
        return [tfmot.sparsity.keras.UpdatePruningStep()]
    if stage.held_by == "":
        return []
    total, N = stage.epochs * steps_per_epoch, count(admm.W)

    def k_at(step):
        if config.ratio_schedule:
            return budget(schedules.value_at(config.ratio_schedule, first + step // steps_per_epoch), N)
        return budget(schedules.cubic_ratio(step / total, config.ratio), N)

    def rho_at(step):
        return schedules.geometric(step / total, config.rho, config.rho_max)

    interval = config.admm_interval or steps_per_epoch
    return [callbacks.AdmmUpdates(admm, interval, budget(config.ratio, N), k_at, rho_at)]


def projection(config):
    """The projection (kernels, k) -> kernels that `config` names, with those of its options that it takes."""
    project = PROJECTIONS[config.projection].resolve()
    given = {"floor": config.floor, "bits": config.bits, "size": config.block_size}
    return partial(project, **{name: given[name] for name in inspect.signature(project).parameters if name in given})


def check_feasible(config, net):
    """Raises Refusal where no net satisfies the constraint, before any time is spent on training."""
    W = kernels(net)
    try:
        if budget(config.ratio, count(W)) < 1:
            raise ValueError(f"expected at least one of {count(W)} weights; got none")
        projection(config)(W, budget(config.ratio, count(W)))
    except ValueError as error:
        raise Refusal(f"--projection={config.projection} --ratio={config.ratio:g}: {error}") from None


def load_start(config):
    """The net of the run --init_from; raises Refusal where it is not one for this run."""
    earlier, path = rundir.trained(config.init_from)
    for key in ("dataset", "model", "width", "conv_relu"):
        if earlier[key] != getattr(config, key):
            raise Refusal(
                f"--init_from={config.init_from}: expected --{key}={getattr(config, key)}; got {earlier[key]}"
            )
    return load_net(path)


def count(W):
    """N, the weights of all kernels together."""
    return sum(w.shape.num_elements() for w in W)


def budget(ratio, N):
    """k = round(ratio * N) kernel weights."""
    return round(ratio * N)


def eps_sequence(config):
    """The training radius by epoch: as given, or the thesis' thirds of the epochs before fine-tuning."""
    epochs = sum(stage.epochs for stage in RECIPES[config.method](config) if stage.held_by != "masks")
    return config.eps_schedule or schedules.thirds(config.eps, max(epochs, 1))


def k_final_epoch(config, stage, first):
    """The first epoch of the run at whose end k has its final value."""
    if stage.held_by != "admm":
        return first
    if config.ratio_schedule:
        return config.ratio_schedule[-1][0]
    return first + math.ceil(0.6 * stage.epochs) - 1


def optimizer(config):
    """SGD with momentum 0.9 or Adam; kernels decay, biases and batch-norm variables do not."""
    decay = config.weight_decay or None
    if config.optimizer == "adam":
        chosen = keras.optimizers.Adam(config.learning_rate, weight_decay=decay)
    else:
        chosen = keras.optimizers.SGD(config.learning_rate, momentum=0.9, weight_decay=decay)
    chosen.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return chosen


def summary(config, workdir, net, validation, num_images):
    """The record in summary.json: counts from the net itself, accuracies from the held-out images."""
    model = RobustModel(net, eps=config.eps, norm=config.norm, seed=config.seed)
    model.compile()
    measured = model.evaluate(validation, verbose=0, return_dict=True)
    layers = [
        {"layer": layer.name, "kernels": w.shape.num_elements(), "nonzero": int(tf.math.count_nonzero(w))}
        for layer, w in zip(kernel_layers(net), kernels(net))
    ]
    seconds = sum(float(row["seconds"]) for row in callbacks.rows(workdir / "history.csv"))
    total, nonzero = sum(row["kernels"] for row in layers), sum(row["nonzero"] for row in layers)
    if config.method in PRUNING and nonzero > budget(config.ratio, total):
        raise AssertionError(f"{nonzero} weights are left where {budget(config.ratio, total)} were asked for")
    return {
        "dataset": config.dataset,
        "model": config.model,
        "method": config.method,
        "projection": config.projection if nonzero < total else None,
        "kernels_total": total,
        "kernels_nonzero": nonzero,
        "ratio": nonzero / total,
        "eps": config.eps,
        "accuracies_on": "held-out training images",
        "num_images": num_images,
        "clean_accuracy": measured["accuracy"],
        "pgd_accuracy": measured["robust_accuracy"],
        "pgd_steps": 10,
        "seed": config.seed,
        "epochs": config.epochs,
        "seconds": round(seconds, 1),
        "class_names": DATASETS[config.dataset].class_names,
        "layers": layers,
    }
