"""train(config): the stages of a recipe, one after the other, in one run directory."""

import tf_keras as keras

from robust_tf import rundir
from robust_tf.attacks.bounds import check_bounded
from robust_tf.compression import atmc
from robust_tf.config import COMPRESSING
from robust_tf.data import described
from robust_tf.data.pipeline import split_validation
from robust_tf.models.build import build
from robust_tf.models.kernels import count, kernels
from robust_tf.models.load import load_net
from robust_tf.refusal import Refusal
from robust_tf.training.checkpoints import asked_to_stop
from robust_tf.training.constraint import budget, check_feasible
from robust_tf.training.distribution import strategy, validation_data
from robust_tf.training.fit import Run, run_stage
from robust_tf.training.prepare import PREPARATIONS
from robust_tf.training.recipes import RECIPES
from robust_tf.training.sound import check_gradients
from robust_tf.training.summary import summary
from robust_tf.training.workers import any_worker, check_alike, claimed, is_chief, none_is_lost

PLACES = ("workdir", "data_dir", "init_from")  # flags that may differ from worker to worker


def train(config):
    """Trains as `config` says, or goes on where the same run stopped.

    Returns the run directory; None where another worker writes it.

    Test data is never read: the accuracies in summary.json are of held-out training images.
    """
    if config.distribution != "multiworker":  # else only its first worker, of those that are alike
        rundir.claimable(config)
    devices = strategy(config.distribution, config.batch_size)
    keras.utils.set_random_seed(config.seed)
    dataset = described(config.dataset, config.data_dir, config.image_size)
    net = build(config, dataset)
    data, held_out = split_validation(*dataset.load("train", config.data_dir), config.seed)
    check_run(config, dataset, net, len(data[0]), is_chief(devices))
    validation = validation_data(devices, *held_out)
    N = count(kernels(net))
    if config.init_from:
        start_from(config, net)
    with none_is_lost(devices):
        alike = {key: value for key, value in rundir.as_json(config).items() if key not in PLACES}
        check_alike(devices, alike, *data, *held_out, *net.get_weights())

    with asked_to_stop() as event, none_is_lost(devices), claimed(config, devices) as workdir:
        asked = lambda: any_worker(devices, event.is_set())  # noqa: E731
        rundir.write_json(workdir / "classes.json", dataset.class_names)
        net = train_stages(Run(config, workdir, devices, data, validation, N, asked), net)
        ship(config, workdir, dataset, net, N, held_out)
    return rundir.claimable(config) if is_chief(devices) else None


def train_stages(run, net):
    """The net that the last stage leaves."""
    config, first = run.config, 0
    stages = [stage for stage in RECIPES[config.method](config) if stage.epochs or stage.first]
    for stage in stages:
        if stage.first:
            net = PREPARATIONS[stage.first](config, net, budget(config.ratio, run.N))
        if stage.epochs:
            run_stage(run, net, stage, first, config.extend_while_improving and stage is stages[-1])
        first += stage.epochs
    return net


def ship(config, workdir, dataset, net, N, held_out):
    """Writes the net, as one of plain layers, and what is to be said of it."""
    net, factors = delivered(config, workdir, net)
    for w in kernels(net):
        w.assign(w + 0.0)  # masks leave -0.0 too, and files of one kind of zero compress better
    record = summary(config, dataset, workdir, net, N, factors, held_out)
    keep_or_save(workdir / "model.keras", net)
    rundir.write_json(workdir / "summary.json", record)


def check_run(config, dataset, net, images, claims=True):
    """Raises Refusal for what can be seen to fail before anything is trained, or written.

    Args:
      images: number of training images, without those that validate.
      claims: whether this process writes the run directory.
    """
    if images < 4:
        raise Refusal(f"--dataset={config.dataset}: expected at least 5 training images; got {images}")
    if images < config.batch_size:
        raise Refusal(f"--batch_size: expected at most the {images} training images; got {config.batch_size}")
    check_schedules(config, images // config.batch_size)
    workdir = rundir.claimable(config) if claims else None
    for flag, folder in (("workdir", workdir), ("init_from", config.init_from)):
        if folder and (known := rundir.class_names(folder)) not in (None, list(dataset.class_names)):
            raise Refusal(
                f"--{flag}={folder}: expected the classes that it learned, {', '.join(known)}; got"
                f" {', '.join(dataset.class_names)}"
            )
    check_gradients(net)
    if config.method in COMPRESSING:
        check_feasible(config, net)
    if config.loss == "ibp":
        check_bounded(net)


def check_schedules(config, steps_per_epoch):
    """Raises Refusal where something would never happen in the run."""
    total = config.epochs * steps_per_epoch
    for name, steps in (("admm_interval", config.admm_interval), ("project_every", config.project_every)):
        if steps and steps > total:
            raise Refusal(f"--{name}: expected at most the stage's {total} steps; got {steps}")
    epochs = sum(stage.epochs for stage in RECIPES[config.method](config))
    ends = {"eps_schedule": epochs, "ratio_schedule": config.pretrain_epochs + config.epochs}
    for name, end in ends.items():
        schedule = getattr(config, name)
        if schedule and schedule[-1][0] >= end:
            raise Refusal(f"--{name}: expected its last epoch before {end}, where it ends; got {schedule[-1][0]}")


def keep_or_save(path, net):
    """Saves `net` unless it stands in `path` already: a new file of the same net would have another digest."""
    if path.exists():
        saved = load_net(path).get_weights()
        same = [w.shape for w in saved] == [w.shape for w in net.get_weights()]
        if same and all((one == other).all() for one, other in zip(saved, net.get_weights())):
            return
    rundir.replace(path, net.save)


def delivered(config, workdir, net):
    """The net of plain layers that ships, and ATMC's report of its factors, which are saved too; None without them."""
    if not any(atmc.is_factorised(layer) for layer in net.layers):
        return net, None
    keep_or_save(workdir / "factorised.keras", net)
    return (atmc.thin if config.thin_layers else atmc.plain)(net), atmc.report(net)


def start_from(config, net):
    """Gives `net` the weights of the run --init_from; raises Refusal where that is not one of such a net."""
    earlier, path = rundir.trained(config.init_from, "init_from")
    as_json = rundir.as_json(config)
    for key in ("dataset", "image_size", "model", "width", "conv_relu"):
        if earlier[key] != as_json[key]:
            raise Refusal(f"--init_from={config.init_from}: expected --{key}={as_json[key]}; got {earlier[key]}")
    weights = load_net(path, earlier["model"]).get_weights()
    if len(weights) != len(net.get_weights()):
        raise Refusal(f"--init_from={config.init_from}: expected a net of whole kernels; got one of thin layers")
    for ours, theirs in zip(net.get_weights(), weights):
        if ours.shape != theirs.shape:
            raise Refusal(f"--init_from={config.init_from}: expected weights of shape {ours.shape}; got {theirs.shape}")
    net.set_weights(weights)
