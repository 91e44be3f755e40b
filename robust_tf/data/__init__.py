"""DATASETS[name].load(split, data_dir) -> (images uint8 [N, H, W, C], labels int64 [N]); split "train" or "test"."""

from dataclasses import dataclass

from robust_tf.registry import Entry


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set before it is read.

    eps: the usual attack radius, L-inf, in pixels of [0, 1].
    far: a radius at which no net can be right more often than by chance.
    """

    load: Entry
    image_shape: tuple
    class_names: tuple
    eps: float
    far: float


DIGITS = tuple("0123456789")

DATASETS = {
    "digits": DataSet(Entry("robust_tf.data.digits:load"), (28, 28, 1), DIGITS, eps=0.1, far=0.5),
    "mnist": DataSet(Entry("robust_tf.data.mnist:load"), (28, 28, 1), DIGITS, eps=0.3, far=0.5),
}
