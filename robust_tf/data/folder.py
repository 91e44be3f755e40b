"""The user's own images: DIR/train/CLASS/*.png|jpg and DIR/test/CLASS/*.png|jpg, one folder per class.

A label is the index of its class folder in alphabetical order.
"""

from pathlib import Path

import numpy as np

from robust_tf.refusal import Refusal
from robust_tf.terminal import progress_bar

SPLITS = ("train", "test")
SUFFIXES = (".png", ".jpg", ".jpeg")


def class_names(data_dir):
    """Names of the class folders; raises Refusal unless train and test have the same, two or more, none empty."""
    if data_dir is None:
        raise Refusal("--dataset=folder: expected --data_dir=DIR with DIR/train/CLASS and DIR/test/CLASS; got none")
    named = {split: _classes(Path(data_dir) / split) for split in SPLITS}
    apart = sorted(set(named["train"]) ^ set(named["test"]))
    if apart:
        where = "train" if apart[0] in named["train"] else "test"
        raise Refusal(
            f"--data_dir={data_dir}: expected the same classes in train and test; got {apart[0]} in {where} only"
        )
    if len(named["train"]) < 2:
        raise Refusal(f"--data_dir={data_dir}: expected two classes or more; got {len(named['train'])}")
    for split in SPLITS:
        for name in named[split]:
            if not files(split, data_dir, [name]):
                raise Refusal(f"{data_dir}/{split}/{name}: expected images ({', '.join(SUFFIXES)}); got none")
    return named["train"]


def _classes(folder):
    try:
        return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "."))
    except OSError as error:
        raise Refusal(
            f"--data_dir: expected a folder {folder} with one folder per class; got {error.strerror}"
        ) from None


def files(split, data_dir, names):
    """(path, label) of every image."""
    folders = enumerate(Path(data_dir) / split / name for name in names)
    return [(path, label) for label, folder in folders for path in sorted(folder.iterdir()) if _is_image(path)]


def _is_image(path):
    return path.suffix.lower() in SUFFIXES and path.name[0] != "."


def load(split, data_dir, image_size):
    """Images uint8 [N, H, W, 3], labels int64 [N]; whole images are scaled to image_size = (H, W), none is cropped.

    The images are shuffled with a fixed seed, so that the first of them come from all classes. Raises Refusal for a
    file that is not an image.
    """
    listed = files(split, data_dir, class_names(data_dir))
    listed = [listed[i] for i in np.random.default_rng(0).permutation(len(listed))]
    images = np.empty((len(listed), *image_size, 3), np.uint8)
    with progress_bar() as progress:
        task = progress.add_task(f"reading {split}", total=len(listed), unit="images")
        for i, (path, _) in enumerate(listed):
            images[i] = read(path, image_size)
            progress.advance(task)
    return images, np.array([label for _, label in listed], np.int64)


def read(path, image_size):
    """The image in a file, uint8 [H, W, 3]; grey images become RGB, and transparency is dropped."""
    import tensorflow as tf

    try:
        image = tf.io.decode_image(path.read_bytes(), channels=3, expand_animations=False)
    except (OSError, tf.errors.InvalidArgumentError) as error:
        reason = str(error).splitlines()[0].split("}} ")[-1]
        raise Refusal(f"{path}: expected a readable PNG or JPEG image; got {reason}") from None
    scaled = tf.image.resize(tf.cast(image, tf.float32), image_size, antialias=True)
    return np.rint(scaled).astype(np.uint8)
