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

    load: (split, data_dir) -> (images uint8 [N, H, W, C], labels int64 [N]); split "train" or "test". The images are
      an array, or ImageFiles, which index like one (see `image_files.in_memory`).
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

    @property
    def is_own(self):
        """Whether it is the folder of the user's own images."""
        return "image_size" in self.options


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
        Entry(address="robust_tf.data.image_files:load"), None, None, None, SMALL, FAR,
        normalisation=((0.5,) * 3, (0.25,) * 3), augment=("crop", "flip"),
        options=(
            "data_dir", "image_size", "grey", "test_fraction", "split_seed", "group_by", "skip_unreadable", "memory",
        ),
    ),
}  # fmt: skip


def described(dataset, data_dir, image_size, grey=False, class_names=None):
    """The DataSet of that name; for "folder", with images of `image_size`, grey ones or not.

    class_names: of the folder; None: those found in `data_dir`. Raises Refusal where it lacks images or classes.
    """
    known = DATASETS[dataset]
    if not known.is_own:
        return known
    channels = 1 if grey else 3
    return dataclasses.replace(
        known,
        image_shape=(*image_size, channels),
        class_names=class_names or folder.listed(data_dir).class_names,
        normalisation=tuple(each[:channels] for each in known.normalisation),
    )


def check_folder(config):
    """Raises Refusal where the folder of the user's own images, if a TrainConfig names one, lacks what it needs."""
    described(config.dataset, config.data_dir, config.image_size, config.grey)


def own_images(dataset, files):
    """`dataset`, as `described`, with the user's own images in `files`, see `image_files.load`."""
    *image_size, channels = dataset.image_shape
    load = partial(
        dataset.load, files=files, class_names=dataset.class_names, image_size=tuple(image_size), channels=channels
    )
    return dataclasses.replace(dataset, load=load, train_images=len(files.train))
