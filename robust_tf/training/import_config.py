"""ImportConfig: the flags of bin/import."""

import dataclasses

from robust_tf.flags.declare import flag, parse
from robust_tf.flags.kinds import TEXT, names_file
from robust_tf.flags.text import flagfile
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig


def as_in_training(name):
    """The flag of bin/train of that name."""
    return dataclasses.field(default=None, metadata=TrainConfig.__dataclass_fields__[name].metadata)


@dataclasses.dataclass(frozen=True)
class ImportConfig:
    """bin/import FILE: makes a run directory of a trained Keras net (.keras, .h5, SavedModel), without training."""

    file: str = flag(TEXT, None, "the net; or without --file=, as the first word of the command line")
    workdir: str = as_in_training("workdir")
    dataset: str = as_in_training("dataset")
    data_dir: str = as_in_training("data_dir")
    image_size: tuple = as_in_training("image_size")
    grey: bool = as_in_training("grey")
    test_fraction: float = as_in_training("test_fraction")
    split_seed: int = as_in_training("split_seed")
    group_by: str = as_in_training("group_by")
    skip_unreadable: bool = as_in_training("skip_unreadable")
    memory: float = as_in_training("memory")
    input_scaling: str = as_in_training("input_scaling")
    labels: str = as_in_training("labels")
    norm: str = as_in_training("norm")
    eps: float = as_in_training("eps")
    seed: int = as_in_training("seed")

    def checked(self):
        """Raises Refusal for invalid flags."""
        if self.file is None:
            raise Refusal("expected bin/import FILE, a Keras net (.keras, .h5, SavedModel); got none")
        as_trained(self)
        return self


def as_trained(config):
    """The TrainConfig of an ImportConfig: --method=none."""
    path = config.file if names_file(config.file) else f"./{config.file}"
    return parse(TrainConfig, ["--method=none", f"--model={path}", *flagfile(config, without=("file",))])
