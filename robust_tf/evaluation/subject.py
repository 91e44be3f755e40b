"""The subject of an evaluation: the net of a training run, and test images."""

from typing import NamedTuple

import numpy as np
import tf_keras as keras

from robust_tf.data import DataSet, described
from robust_tf.evaluation import MODES
from robust_tf.evaluation.accuracy import inference
from robust_tf.evaluation.config import check_data_dir
from robust_tf.evaluation.sanity import probe
from robust_tf.evaluation.settings import settings
from robust_tf.models.load import load_net
from robust_tf.refusal import Refusal
from robust_tf.training.rundir import RunDirectory


class Subject(NamedTuple):
    """net, logits_fn: images [B, H, W, C] -> logits [B, K], of `run`. images: uint8 [N, H, W, C] and labels: int [N],
    from the test split of `dataset`."""

    run: RunDirectory
    net: keras.Model
    logits_fn: callable
    dataset: DataSet
    images: np.ndarray
    labels: np.ndarray

    def probed(self, logits_fn, eps, norm, seed):
        """Signs that `logits_fn` misleads attacks, on these images."""
        return probe(logits_fn, self.images, self.labels, eps=eps, norm=norm, far=self.dataset.far, seed=seed)

    def record(self, config, **measured):
        """The mode's record of `measured`, with the settings in `config`, the net and the number of images."""
        Record = MODES[config.mode].Record
        common = {"num_images": len(self.images), "model_sha256": self.run.digest}
        return Record(**{**settings(config, Record), **common, **measured})


def load_trained(config):
    """(RunDirectory, net, DataSet, data folder) of the finished run that an EvaluateConfig or ExportConfig names."""
    run = RunDirectory.open(config.workdir)
    check_data_dir(config.data_dir, run.config.dataset)
    data_dir = config.data_dir or run.config.data_dir
    dataset = described(run.config.dataset, data_dir, run.config.image_size)
    if "image_size" in dataset.options:  # the user's own folder: its classes may have changed
        check_classes(run, dataset, data_dir)
    return run, load_net(run.net_path, run.config.model), dataset, data_dir


def check_classes(run, dataset, data_dir):
    """Raises Refusal where the classes of the user's folder are not those of the run."""
    if run.classes is not None and tuple(dataset.class_names) != run.classes:
        raise Refusal(
            f"--data_dir={data_dir}: expected the classes of the run, {', '.join(run.classes)}; got"
            f" {', '.join(dataset.class_names)}"
        )


def load_subject(config):
    """The Subject of an EvaluateConfig."""
    run, net, dataset, data_dir = load_trained(config)
    images, labels = dataset.load("test", data_dir)
    chosen = slice(config.num_images)
    return Subject(run, net, inference(net), dataset, images[chosen], labels[chosen])


def load_other(flag, workdir, subject):
    """logits_fn of the net of another run, --FLAG; raises Refusal where it was not trained on the subject's data."""
    other, ours = RunDirectory.open(workdir, flag), subject.run.config
    if other.config.dataset != ours.dataset:
        raise Refusal(f"--{flag}={workdir}: expected a run on {ours.dataset}; got one on {other.config.dataset}")
    net = load_net(other.net_path, other.config.model)
    for what in ("input_shape", "output_shape"):
        needed, found = getattr(subject.net, what)[1:], getattr(net, what)[1:]
        if needed != found:
            raise Refusal(f"--{flag}={workdir}: expected a net with {what} {needed}; got {found}")
    return inference(net)
