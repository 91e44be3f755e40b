"""The subject of an evaluation: the net of a training run, and test images."""

from typing import NamedTuple

import numpy as np
import tf_keras as keras

from robust_tf.data import DataSet
from robust_tf.data.image_files import ImageFiles, in_memory
from robust_tf.evaluation import MODES
from robust_tf.evaluation.accuracy import inference
from robust_tf.evaluation.config import check_data_dir
from robust_tf.evaluation.sanity import probe
from robust_tf.evaluation.settings import settings
from robust_tf.models.load import load_net
from robust_tf.refusal import Refusal
from robust_tf.training.images import check_unseen, to_test
from robust_tf.training.rundir import RunDirectory


class Subject(NamedTuple):
    """net, logits_fn: images [B, H, W, C] -> logits [B, K], of `run`. images: uint8 [N, H, W, C] and labels: int [N],
    from the test split of `dataset`; an array, or ImageFiles where they do not fit in memory. proven: which images are
    certified within the attacks' radius, bool [N]; None if that is not known."""

    run: RunDirectory
    net: keras.Model
    logits_fn: callable
    dataset: DataSet
    images: np.ndarray | ImageFiles
    labels: np.ndarray
    proven: np.ndarray | None = None

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
    dataset = to_test(run, data_dir)
    return run, load_net(run.net_path, run.config.model), dataset, data_dir


def load_subject(config):
    """The Subject of an EvaluateConfig."""
    run, net, dataset, data_dir = load_trained(config)
    images, labels = dataset.load("test", data_dir)
    images, labels = images[: config.num_images], labels[: config.num_images]
    return Subject(run, net, inference(net), dataset, in_memory(images, run.config.memory), labels)


def load_other(flag, workdir, subject):
    """logits_fn of the net of another run, --FLAG.

    Raises Refusal where it was not trained on the subject's data, or was trained on its test images.
    """
    other, ours = RunDirectory.open(workdir, flag), subject.run.config
    if other.config.dataset != ours.dataset:
        raise Refusal(f"--{flag}={workdir}: expected a run on {ours.dataset}; got one on {other.config.dataset}")
    check_unseen(flag, other, subject.run.images and subject.run.images.test)
    net = load_net(other.net_path, other.config.model)
    for what in ("input_shape", "output_shape"):
        needed, found = getattr(subject.net, what)[1:], getattr(net, what)[1:]
        if needed != found:
            raise Refusal(f"--{flag}={workdir}: expected a net with {what} {needed}; got {found}")
    return inference(net)
