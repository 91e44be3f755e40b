"""train(config): the stages of a recipe, one after the other, in one run directory."""

import tensorflow as tf
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
from robust_tf.terminal import progress_bar
from robust_tf.training import callbacks, guards
from robust_tf.training.checkpoints import Checkpoints, StopWhenAsked, asked_to_stop, read, restored
from robust_tf.training.constraint import budget, check_feasible
from robust_tf.training.distribution import placed, strategy, training_data, validation_data
from robust_tf.training.history import History
from robust_tf.training.holds import HOLDS
from robust_tf.training.prepare import PREPARATIONS
from robust_tf.training.recipes import RECIPES
from robust_tf.training.sound import check_gradients
from robust_tf.training.stage import interval, k_final_epoch, ramps, stage_model, stage_schedule
from robust_tf.training.summary import summary
from robust_tf.training.workers import any_worker, claimed, is_chief, none_is_lost


def train(config):
    """Trains as `config` says, or goes on where the same run stopped; returns the run directory,
    None where another worker writes it.

    Test data is never read: the accuracies in summary.json are of held-out training images.
    """
    rundir.claimable(config)
    devices = strategy(config.distribution, config.batch_size)
    keras.utils.set_random_seed(config.seed)
    dataset = described(config.dataset, config.data_dir, config.image_size)
    net = build(config, dataset)
    data, held_out = split_validation(*dataset.load("train", config.data_dir), config.seed)
    check_run(config, dataset, net, len(data[0]))
    validation = validation_data(devices, *held_out)
    N = count(kernels(net))
    if config.init_from:
        start_from(config, net)

    with asked_to_stop() as event, none_is_lost(devices), claimed(config, devices) as workdir:
        asked = lambda: any_worker(devices, event.is_set())  # noqa: E731
        train_stages(config, workdir, devices, dataset, net, N, data, validation, held_out, asked)
    return rundir.claimable(config) if is_chief(devices) else None


def train_stages(config, workdir, devices, dataset, net, N, data, validation, held_out, asked):
    """The stages, and what they leave in the run directory."""
    rundir.write_json(workdir / "classes.json", dataset.class_names)
    stages = [stage for stage in RECIPES[config.method](config) if stage.epochs or stage.first]
    first = 0
    for stage in stages:
        if stage.first:
            net = PREPARATIONS[stage.first](config, net, budget(config.ratio, N))
        if stage.epochs:
            extends = config.extend_while_improving and stage is stages[-1]
            run_stage(config, workdir, devices, net, stage, first, N, data, validation, extends, asked)
        first += stage.epochs
    net, factors = delivered(config, workdir, net)
    for w in kernels(net):
        w.assign(w + 0.0)  # masks leave -0.0 too, and files of one kind of zero compress better
    record = summary(config, dataset, workdir, net, N, factors, held_out)
    keep_or_save(workdir / "model.keras", net)
    rundir.write_json(workdir / "summary.json", record)


def check_run(config, dataset, net, images):
    """Raises Refusal for what can be seen to fail before anything is trained, or written.

    Args:
      images: number of training images, without those that validate.
    """
    if images < 4:
        raise Refusal(f"--dataset={config.dataset}: expected at least 5 training images; got {images}")
    if images < config.batch_size:
        raise Refusal(f"--batch_size: expected at most the {images} training images; got {config.batch_size}")
    check_schedules(config, images // config.batch_size)
    workdir = rundir.claimable(config)
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


def run_stage(config, workdir, devices, net, stage, first, N, data, validation, extends, asked):
    """Trains `net` for the epochs [first, first + stage.epochs) of the run, and leaves in it what the stage ships."""
    last, steps_per_epoch = first + stage.epochs, len(data[0]) // config.batch_size
    folder = workdir / "checkpoints" / f"{stage.name}-from-{first}"
    final = folder / f"final-{last}.weights.h5"
    if final.exists():
        read(final, net.load_weights)
        return
    folder.mkdir(parents=True, exist_ok=True)
    twin = placed(net, devices, config.mixed_precision)
    with devices.scope():
        hold = HOLDS[stage.held_by](config, twin)
        model = stage_model(config, twin, stage, hold, first * steps_per_epoch)
    paced = callbacks.Paced(config.adaptive if stage.held_by == "admm" else "none", config.tolerance)
    schedule = stage_schedule(config, stage, last, paced, steps_per_epoch)
    k_at, rho_at = ramps(config, stage, first, N, steps_per_epoch, paced)
    measured = callbacks.Measured(
        hold, k_at if paced.moves == "k" else lambda step: budget(config.ratio, N), config.ema
    )
    selects_from = min(max(schedule.sequences["eps"][-1][0], k_final_epoch(config, stage, first)), last - 1)
    monitor = model.strictest if stage.adversarial else "accuracy"
    best = callbacks.KeepBest(
        twin, folder / "best.weights.h5", monitor, lambda epoch: paced.at(epoch) >= selects_from or epoch >= last - 1
    )

    epoch = tf.Variable(first, trainable=False, dtype=tf.int64)
    state = tf.train.Checkpoint(model=model, epoch=epoch, best=best.best, paced=paced.state)
    manager = read(folder, lambda _: restored(state, folder))
    start, done = int(epoch), model.steps_taken % steps_per_epoch  # of an epoch that was broken off
    if start > last and not extends:
        raise Refusal(f"{folder}: expected --epochs of at least {start - first}, as trained; got {stage.epochs}")
    history = History(workdir / "history.csv", stage.name, start)
    goes_on = extends and (start < last or guards.improves(history.stage_rows(first)))
    end = last if not goes_on else last + 10**6
    with progress_bar() as progress:
        watched = [
            schedule,
            best,  # before `measured`, so that it sees the weights that were measured
            measured,
            callbacks.Updates(hold, interval(config, stage, steps_per_epoch), k_at, rho_at),
            paced,
            *hold.callbacks,
            history,
            callbacks.Report(progress, stage.name, (last - start) * steps_per_epoch - done, last),
            keras.callbacks.TensorBoard(workdir / "tensorboard" / folder.name, write_graph=False),
            *watchers(config, stage, first, last, goes_on, history, best, progress, manager),
            Checkpoints(manager, epoch, config.checkpoint_every, last),
            StopWhenAsked(manager, epoch, asked, stage.name),
        ]

        def fit(start, done, end, *more):
            model.fit(
                training_data(
                    devices, data, config.batch_size, config.seed, start * steps_per_epoch + done, config.augment
                ),
                steps_per_epoch=steps_per_epoch - done,
                initial_epoch=start,
                epochs=end,
                validation_data=validation[0],
                validation_steps=validation[1],
                verbose=0,
                callbacks=[*watched, *more],
            )

        if done:  # the rest of an epoch has fewer steps, so that it takes a call of its own, after which
            kept = callbacks.Kept()  # Keras would leave the averages in the place of the weights
            fit(start, done, start + 1, kept)
            kept.restore()
            start += 1
        if not model.stop_training:
            fit(start, 0, end)
    if best.path.exists():
        read(best.path, twin.load_weights)
    else:
        measured.ship()
    if twin is not net:
        net.set_weights(twin.get_weights())
    rundir.replace(final, net.save_weights)


def watchers(config, stage, first, last, extends, history, best, progress, manager):
    """The callbacks that may end a stage early, or late; before the checkpoints, so that those hold no exploded net."""
    watched = [guards.Explosion(history, first, stage.adversarial, manager)]
    if stage.adversarial and config.attack == "fgsm_rs":
        watched.append(guards.CatastrophicOverfitting(history, first, best, progress.console))
    if extends:
        watched.append(guards.ExtendWhileImproving(history, first, last))
    return watched


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
