"""train_net(config, net, x, y): the stages of a method on a program's net and images, in place of a data set's."""

import contextlib
import hashlib
import tempfile

import numpy as np
import tf_keras as keras

from robust_tf.data.pipeline import batches, split_validation
from robust_tf.files import write_text
from robust_tf.flags.text import identifying
from robust_tf.models.guess import guess
from robust_tf.models.kernels import count, kernels
from robust_tf.records.record import json_text, read_json
from robust_tf.refusal import Refusal
from robust_tf.training.checks import check_teacher
from robust_tf.training.distribution import check_batch, strategy, validation_data
from robust_tf.training.fit import TrainingSetup
from robust_tf.training.run import check_trainable, delivered, train_stages
from robust_tf.training.rundir import CHANGEABLE, RunDirectory, is_foreign
from robust_tf.training.start import taught_by

CALL = "call.json"


def train_net(config, net, x, y):
    """A copy of `net`, trained as `config` says; `net` keeps its weights.

    A fifth of the images, at most 2000, are held out for validation, as in bin/train. With config.workdir the folder
    gets the files of a run, history.csv and checkpoints among them, from which the same call resumes. As with
    bin/train, a call with more epochs continues a finished one, and one with fewer is refused.

    Args:
      config: TrainConfig; its flags of data sets and nets do not matter.
      net: Keras net that `models.own.check` accepts.
      x, y: images uint8 or float32 and labels int64, see `data.given.given`.

    Prints a warning if the net is no better than a guess on the held-out images. Raises Refusal before anything is
    trained or written, or TrainingFailed.
    """
    if len(x) < 5:
        raise Refusal(f"x: expected at least 5 images, as some are held out for validation; got {len(x)}")
    check_trainable(config, net, len(split_validation(x, y, config.seed)[0][0]))
    teacher = taught_by(config, net.input_shape[1:])
    check_teacher(teacher, net, config.loss)
    devices = strategy(config.distribution)
    check_batch(devices, config)
    keras.utils.set_random_seed(config.seed)
    data, held_out = split_validation(x, y, config.seed)
    validation = validation_data(devices, *held_out)
    with folder(config, net, x, y) as run:
        copy = keras.models.clone_model(net)
        copy.set_weights(net.get_weights())
        N = count(kernels(copy))
        setup = TrainingSetup(config, run, devices, data, validation, N, lambda: False, teacher)
        trained = delivered(config, run, train_stages(setup, copy))[0]
    if guessing := guess(trained.predict(batches(*held_out, 500), verbose=0).argmax(-1), held_out[1]):
        print(f"warning: {guessing}", flush=True)
    return trained


@contextlib.contextmanager
def folder(config, net, x, y):
    """The RunDirectory config.workdir, locked, or a temporary one; raises Refusal for that of another call."""
    if config.workdir is None:
        with tempfile.TemporaryDirectory(prefix="robust_tf-") as path:
            yield RunDirectory(path)
        return
    run, call = RunDirectory(config.workdir), identity(config, net, x, y)
    source = run.path / CALL
    if source.exists():
        check_same(source, call, config.epochs)
    elif run.path.exists() and (not run.path.is_dir() or any(is_foreign(path) for path in run.path.iterdir())):
        raise Refusal(f"--workdir={run.path}: expected the folder of the same call, or an empty or new one; got files")
    with run.locked():
        if not source.exists():
            write_text(source, json_text(call))
        yield run
        write_text(source, json_text({**call, "epochs": config.epochs}))


def check_same(source, call, epochs):
    """Raises Refusal unless the call in the file `source` is `call`, with at most as many epochs if it has finished."""
    earlier, folder = read_json(source), source.parent
    if not (isinstance(earlier, dict) and isinstance(earlier.get("flags"), dict)):
        raise Refusal(f"{source}: expected a call with its flags; got another file")
    ours, theirs = call["flags"], earlier["flags"]
    differ = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    if differ:
        expected, got = (
            " ".join(f"{name}={each.get(name, '(default)')}" for name in differ) for each in (theirs, ours)
        )
        raise Refusal(f"--workdir={folder}: expected the flags of the call that made it, {expected}; got {got}")
    if earlier.get("sha256") != call["sha256"]:
        raise Refusal(f"--workdir={folder}: expected the net and images of the call that made it; got others")
    if earlier.get("weights_sha256") != call["weights_sha256"]:
        raise Refusal(
            f"--workdir={folder}: expected the net's initial weights of the call that made it; got others: call"
            " tf_keras.utils.set_random_seed before you build a net with random weights"
        )
    if epochs < earlier.get("epochs", 0):
        raise Refusal(f"--workdir={folder}: expected epochs >= {earlier['epochs']}, as trained; got {epochs}")


def identity(config, net, x, y):
    """What must be equal for a call to resume: flags, and digests of the net's layers with the images, and of its
    weights."""
    flags = {name: value for name, value in identifying(config).items() if name not in CHANGEABLE}
    digests = {"sha256": digest(x, y, first=net.to_json()), "weights_sha256": digest(*net.get_weights())}
    return {"flags": flags, **digests}


def digest(*arrays, first=""):
    """SHA-256 of a text and arrays."""
    found = hashlib.sha256(first.encode())
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
