"""DATASETS[name]: facts of a data set, and its load(split, data_dir) -> (images uint8 [N, H, W, C], labels [N]).

Commands get a data set from `described`, which first looks into the folder of the user's own images.
"""

import dataclasses
from functools import partial

from robust_tf.data import folder
from robust_tf.data.names import CIFAR10, CIFAR100, DIGITS, FASHION, STL10
from robust_tf.registry import Entry


@dataclasses.dataclass(frozen=True)
class DataSet:
    """Facts of a data set that are known before it is loaded.

    load: (split, data_dir) -> (images uint8 [N, H, W, C], labels int64 [N]); split "train" or "test".
    train_images: N of the training split.
    eps: the usual attack radius, L-inf, in pixels of [0, 1].
    far: a radius at which no net can be more accurate than chance.
    normalisation: (mean, deviation) of the training pixels, one number per channel, or None for no normalisation.
    augment: the default data augmentation, see `data.augment`.
    options: flags of bin/train that apply with it.
    """

    load: callable
    train_images: int
    image_shape: tuple
    class_names: tuple
    eps: float
    far: float
    normalisation: tuple | None = None
    augment: tuple = ("none",)
    options: tuple = ("data_dir",)


AUGMENTATIONS = ("crop", "flip", "rotate", "none")


def tfds(name):
    return partial(Entry(address="robust_tf.data.tfds_arrays:load_tfds"), name)


GREY, COLOUR = (28, 28, 1), (32, 32, 3)
SMALL, FAR = 8 / 255, 64 / 255

DATASETS = {
    "digits": DataSet(Entry(address="robust_tf.data.digits:load"), 1437, GREY, DIGITS, eps=0.1, far=0.5, options=()),
    "mnist": DataSet(tfds("mnist"), 60000, GREY, DIGITS, eps=0.3, far=0.5),
    "fashion_mnist": DataSet(tfds("fashion_mnist"), 60000, GREY, FASHION, eps=0.1, far=0.5),
    "cifar10": DataSet(
        tfds("cifar10"), 50000, COLOUR, CIFAR10, SMALL, FAR,
        normalisation=((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)), augment=("crop", "flip", "rotate"),
    ),
    "cifar100": DataSet(
        tfds("cifar100"), 50000, COLOUR, CIFAR100, SMALL, FAR,
        normalisation=((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)), augment=("crop", "flip", "rotate"),
    ),
    "svhn_cropped": DataSet(
        tfds("svhn_cropped"), 73257, COLOUR, DIGITS, SMALL, FAR,
        normalisation=((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)), augment=("crop",),
    ),
    "stl10": DataSet(
        tfds("stl10"), 5000, (96, 96, 3), STL10, SMALL, FAR,
        normalisation=((0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713)), augment=("crop", "flip"),
    ),
    "folder": DataSet(
        Entry(address="robust_tf.data.folder:load"), None, None, None, SMALL, FAR,
        normalisation=((0.5,) * 3, (0.25,) * 3), augment=("crop", "flip"), options=("data_dir", "image_size"),
    ),
}  # fmt: skip


def described(dataset, data_dir, image_size):
    """The DataSet of that name; for "folder", with the classes found in `data_dir` and `image_size`. Raises Refusal."""
    known = DATASETS[dataset]
    if "image_size" not in known.options:
        return known
    names = folder.class_names(data_dir)
    return dataclasses.replace(
        known,
        load=partial(known.load, image_size=image_size),
        train_images=len(folder.files("train", data_dir, names)),
        image_shape=(*image_size, 3),
        class_names=names,
    )
