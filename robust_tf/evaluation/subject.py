"""What is evaluated: a trained run's net, and the images it is attacked on."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tf_keras as keras

from robust_tf import rundir
from robust_tf.data import DATASETS
from robust_tf.evaluation.accuracy import inference
from robust_tf.models.load import load_net
from robust_tf.refusal import Refusal


class Subject(NamedTuple):
    """net and logits_fn: images [B, H, W, C] -> logits [B, K]; images uint8 [N, H, W, C], labels int [N], of the test
    split; trained_as: the run's configuration; digest: of its model.keras."""

    net: keras.Model
    logits_fn: callable
    images: np.ndarray
    labels: np.ndarray
    trained_as: dict
    digest: str


def load_trained(config):
    """(net, training configuration, data folder) of a finished run."""
    trained_as, path = rundir.trained(config.workdir)
    net = load_net(path)
    return net, trained_as, config.data_dir or trained_as["data_dir"]


def load_subject(config):
    """The Subject of an EvaluateConfig."""
    net, trained_as, data_dir = load_trained(config)
    digest = rundir.digest(Path(config.workdir) / "model.keras")
    images, labels = DATASETS[trained_as["dataset"]].load("test", data_dir)
    chosen = slice(config.num_images)
    return Subject(net, inference(net), images[chosen], labels[chosen], trained_as, digest)


def load_other(workdir, subject):
    """logits_fn of another run's net; raises Refusal where it does not take the subject's images and classes."""
    path = rundir.trained(workdir)[1]
    net = load_net(path)
    for what in ("input_shape", "output_shape"):
        ours, theirs = getattr(subject.net, what)[1:], getattr(net, what)[1:]
        if ours != theirs:
            raise Refusal(f"{workdir}: expected a net with {what} {ours}; got {theirs}")
    return inference(net)
