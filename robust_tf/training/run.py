"""train(config): trains the stages of a method, one after the other, in one run directory."""

import os

import tf_keras as keras

from robust_tf.certification.bounds import check_bounded
from robust_tf.compression import atmc
from robust_tf.compression.plain import plain
from robust_tf.data import described
from robust_tf.data.image_files import in_memory
from robust_tf.data.pipeline import refusals, split_validation
from robust_tf.files import replace
from robust_tf.flags.text import as_json
from robust_tf.models.kernels import count, kernels
from robust_tf.models.load import load_net
from robust_tf.records.record import write
from robust_tf.refusal import Refusal
from robust_tf.training import LOSSES
from robust_tf.training.callbacks.stopping import asked_to_stop
from robust_tf.training.distribution import check_batch, strategy, validation_data
from robust_tf.training.fit import TrainingSetup, run_stage
from robust_tf.training.gradient_check import check_gradients
from robust_tf.training.images import check_classes, finished_without_images, to_train
from robust_tf.training.methods import METHODS
from robust_tf.training.prepare import PREPARATIONS
from robust_tf.training.projection import budget, check_feasible
from robust_tf.training.rundir import RunDirectory, settled
from robust_tf.training.start import check_frozen, keep_imported, starting_net, taught_by
from robust_tf.training.summary import summarise
from robust_tf.training.workers import any_worker, check_alike, claimed, is_chief, none_is_lost

# Flags that may differ from worker to worker.
PLACES = ("workdir", "data_dir", "memory", "init_from", "teacher", "labels")


def train(config):
    """Trains as `config` says, or resumes the same run.

    Returns the RunDirectory; None where another worker writes it.

    Nothing depends on test data: the accuracies in summary.json are of held-out training images.
    """
    if config.distribution != "multiworker":  # of several workers only the chief checks it, in check_run
        RunDirectory.for_config(config)
        if run := finished_without_images(config):
            print(f"nothing is left to train, and the training images are not needed: {run.path} has ended", flush=True)
            os.utime(run.summary_path)  # a sweep sees by it that training has ended
            return run
    devices = strategy(config.distribution)
    keras.utils.set_random_seed(config.seed)
    dataset = described(config.dataset, config.data_dir, config.image_size, config.grey)
    dataset, files = to_train(config, dataset, is_chief(devices))
    config = settled(config, dataset.train_images, is_chief(devices))
    check_batch(devices, config)
    images, labels = dataset.load("train", config.data_dir)
    net, imported = starting_net(config, dataset, files, images, labels)
    data, held_out = split_validation(images, labels, config.seed)
    teacher = taught_by(config, tuple(dataset.image_shape), tuple(dataset.class_names), files)
    check_run(config, dataset, net, len(data[0]), is_chief(devices))
    data, held_out = ((in_memory(images, config.memory), labels) for images, labels in (data, held_out))
    validation = validation_data(devices, *held_out)
    N = count(kernels(net))
    with none_is_lost(devices):
        alike = {key: value for key, value in as_json(config).items() if key not in PLACES}
        nets = [*net.get_weights(), *(teacher.get_weights() if teacher else ())]
        check_alike(devices, alike, *data, *held_out, *nets)

    with asked_to_stop() as event, refusals(), none_is_lost(devices), claimed(config, devices) as run:
        run.write_classes(dataset.class_names)
        if files:
            write(run.images_path, files)
        keep_imported(run, net, imported)
        setup = TrainingSetup(
            config, run, devices, data, validation, N, lambda: any_worker(devices, event.is_set()), teacher
        )
        ship(config, run, dataset, train_stages(setup, net), N, held_out)
    return RunDirectory.for_config(config) if is_chief(devices) else None


def train_stages(setup, net):
    """Trains all stages; returns the net of the last one."""
    config, first_epoch = setup.config, 0
    stages = [stage for stage in METHODS[config.method].stages(config) if stage.epochs or stage.prepare]
    for stage in stages:
        if stage.prepare:
            net = PREPARATIONS[stage.prepare](config, net, budget(config.ratio, setup.N))
        if stage.epochs:
            run_stage(setup, net, stage, first_epoch, config.extend_while_improving and stage is stages[-1])
        first_epoch += stage.epochs
    return net


def ship(config, run, dataset, net, N, held_out):
    """Writes the net, with plain layers, and its summary."""
    net, factors = delivered(config, run, net)
    record = summarise(config, dataset, run, net, N, factors, held_out)
    keep_or_save(run.net_path, net)
    write(run.summary_path, record)


def check_run(config, dataset, net, images, claims=True):
    """Raises Refusal for what would fail later, before anything is trained or written.

    Args:
      images: number of training images, without the validation images.
      claims: whether this process writes the run directory.
    """
    if images < 4:
        raise Refusal(
            f"--dataset={config.dataset}: expected at least 4 training images, validation images aside; got {images}"
        )
    if claims:
        check_classes("workdir", RunDirectory.for_config(config), dataset)
    check_trainable(config, net, images)


def check_trainable(config, net, images):
    """Raises Refusal where `net` cannot be trained as `config` says on this number of images."""
    if images < config.batch_size and METHODS[config.method].stages(config):
        raise Refusal(f"--batch_size: expected at most the {images} training images; got {config.batch_size}")
    check_schedules(config, images // config.batch_size)
    check_gradients(net)
    check_frozen(config, net)
    if METHODS[config.method].compresses:
        check_feasible(config, net)
    if LOSSES[config.loss].certifies:
        check_bounded(net)


def check_schedules(config, steps_per_epoch):
    """Raises Refusal where an interval or a schedule is longer than the training."""
    total = config.epochs * steps_per_epoch
    for name, steps in (("admm_interval", config.admm_interval), ("project_every", config.project_every)):
        if steps and steps > total:
            raise Refusal(f"--{name}: expected at most the stage's {total} steps; got {steps}")
    epochs = sum(stage.epochs for stage in METHODS[config.method].stages(config))
    ends = {"eps_schedule": epochs, "ratio_schedule": config.pretrain_epochs + config.epochs}
    for name, end in ends.items():
        schedule = getattr(config, name)
        if schedule and schedule[-1][0] >= end:
            raise Refusal(f"--{name}: expected its last epoch to be below {end}; got {schedule[-1][0]}")


def keep_or_save(path, net):
    """Saves `net` unless `path` holds the same weights already: a new file would have another digest."""
    if path.exists():
        saved = load_net(path).get_weights()
        same = [w.shape for w in saved] == [w.shape for w in net.get_weights()]
        if same and all((one == other).all() for one, other in zip(saved, net.get_weights())):
            return
    replace(path, net.save)


def delivered(config, run, net):
    """(net of plain layers that ships, ATMC's report of its factors or None); saves a factorised net too."""
    factors = None
    if any(atmc.is_factorised(layer) for layer in net.layers):
        keep_or_save(run.factorised_path, net)
        net, factors = (atmc.thin if config.thin_layers else plain)(net), atmc.report(net)
    for w in kernels(net):
        w.assign(w + 0.0)  # turns -0.0, which masks leave, into 0.0, so that files compress better
    return net, factors
