"""Images that stay in their files until they are read: the user's own images."""

import os

import numpy as np
import psutil

from robust_tf.data.decode import read_all
from robust_tf.data.folder import class_of
from robust_tf.refusal import Refusal
from robust_tf.terminal import named, number_of, progress_bar

GIB = 2**30


class ImageFiles:
    """Images in files, which index like an array uint8 [N, H, W, C].

    A part, by a slice or an array of indices, is again ImageFiles; np.asarray decodes the files.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, paths, size, channels):
        """paths: of N files; size: (H, W); channels: 1 or 3."""
        self.paths = np.array(paths, dtype=object)
        self.shape = (len(self.paths), *size, channels)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, chosen):
        return ImageFiles(self.paths[chosen], self.shape[1:3], self.shape[3])

    def __array__(self, dtype=None, copy=None):
        return self.read().astype(dtype or self.dtype, copy=False)

    def read(self, advance=lambda: None):
        """The images as an array; raises Refusal for unreadable files. Calls advance() after each image."""
        return read_all(self.paths, self.shape[1:3], self.shape[3], advance)

    @property
    def nbytes(self):
        return int(np.prod(self.shape, dtype=np.int64))


def load(split, data_dir, files, class_names, image_size, channels):
    """ImageFiles [N, H, W, channels], labels int64 [N]; images are scaled to image_size = (H, W), none is cropped.

    The images are shuffled with a fixed seed, so that the first of them come from all classes.

    Args:
      files: has `train` and `test`, paths below `data_dir`.

    Raises Refusal for a file that is missing.
    """
    listed = getattr(files, split)
    if gone := missing(listed, data_dir):
        raise Refusal(
            f"--data_dir={data_dir}: expected the {number_of(len(listed), f'{split} file')} of the run; got none at"
            f" {named(gone)}"
        )
    if strange := sorted(set(map(class_of, listed)) - set(class_names)):
        raise Refusal(f"--data_dir={data_dir}: expected files of the classes {named(class_names)}; got {strange[0]}")
    listed = [listed[i] for i in np.random.default_rng(0).permutation(len(listed))]
    labels = np.array([class_names.index(class_of(path)) for path in listed], np.int64)
    return ImageFiles([os.path.join(data_dir, path) for path in listed], image_size, channels), labels


def missing(paths, data_dir):
    """Those of the paths below `data_dir` where there is no file."""
    return [path for path in paths if not os.path.exists(os.path.join(data_dir, path))]


def in_memory(images, memory=None):
    """The images as an array; images in files stay there where the array would take more than `memory` GiB.

    memory: None for a third of the free memory, as training keeps two copies. Raises Refusal for unreadable files.
    """
    if not isinstance(images, ImageFiles):
        return images
    if images.nbytes > (psutil.virtual_memory().available / 3 if memory is None else memory * GIB):
        return images
    with progress_bar() as progress:
        task = progress.add_task("reading images", total=len(images), unit="images")
        return images.read(lambda: progress.advance(task))
