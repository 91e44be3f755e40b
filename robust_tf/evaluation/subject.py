"""What is evaluated: a trained run's net, and the images it is attacked on."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tf_keras as keras

from robust_tf import rundir
from robust_tf.data import DataSet, described
from robust_tf.evaluation.accuracy import inference
from robust_tf.evaluation.sanity import probe
from robust_tf.models.load import load_net
from robust_tf.refusal import Refusal


class Subject(NamedTuple):
    """net and logits_fn: images [B, H, W, C] -> logits [B, K]; dataset: where images uint8 [N, H, W, C] and labels
    int [N] are from, of the test split; trained_as: the run's configuration; digest: of its model.keras."""

    net: keras.Model
    logits_fn: callable
    dataset: DataSet
    images: np.ndarray
    labels: np.ndarray
    trained_as: dict
    digest: str

    def probed(self, logits_fn, eps, norm, seed):
        """Signs that `logits_fn` misleads attacks, on these images."""
        return probe(logits_fn, self.images, self.labels, eps=eps, norm=norm, far=self.dataset.far, seed=seed)


def load_trained(config):
    """(net, training configuration, DataSet, data folder) of a finished run."""
    trained_as, path = rundir.trained(config.workdir)
    data_dir = config.data_dir or trained_as["data_dir"]
    dataset = described(trained_as["dataset"], data_dir, trained_as["image_size"])
    if trained_as["dataset"] == "folder":
        check_classes(config.workdir, dataset, data_dir)
    return load_net(path, trained_as["model"]), trained_as, dataset, data_dir


def check_classes(workdir, dataset, data_dir):
    """Raises Refusal where the user's folder has not the classes of the run."""
    learned = rundir.class_names(workdir)
    if learned is not None and list(dataset.class_names) != learned:
        raise Refusal(
            f"--data_dir={data_dir}: expected the classes that the net learned, {', '.join(learned)}; got"
            f" {', '.join(dataset.class_names)}"
        )


def load_subject(config):
    """The Subject of an EvaluateConfig."""
    net, trained_as, dataset, data_dir = load_trained(config)
    digest = rundir.digest(Path(config.workdir) / "model.keras")
    images, labels = dataset.load("test", data_dir)
    chosen = slice(config.num_images)
    return Subject(net, inference(net), dataset, images[chosen], labels[chosen], trained_as, digest)


def load_other(flag, workdir, subject):
    """logits_fn of the net of another run, --FLAG; raises Refusal where it was not trained on the subject's data."""
    trained_as, path = rundir.trained(workdir, flag)
    if trained_as["dataset"] != subject.trained_as["dataset"]:
        raise Refusal(
            f"--{flag}={workdir}: expected a run on {subject.trained_as['dataset']}; got one on {trained_as['dataset']}"
        )
    net = load_net(path, trained_as["model"])
    for what in ("input_shape", "output_shape"):
        ours, theirs = getattr(subject.net, what)[1:], getattr(net, what)[1:]
        if ours != theirs:
            raise Refusal(f"--{flag}={workdir}: expected a net with {what} {ours}; got {theirs}")
    return inference(net)
