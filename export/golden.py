"""golden.npz: images and what each file computes of them, with which `benchmark_tflite.py --check` tries a device."""

import numpy as np

from robust_tf.certification import file
from robust_tf.evaluation import tflite
from robust_tf.evaluation.certificates import outside_of
from robust_tf.files import digest, write_arrays
from robust_tf.refusal import Refusal
from robust_tf.tflite.graph import Graph

IMAGES = 20


def random_images(shape):
    """Noise, uint8 [IMAGES, *shape]: each pixel anywhere in its range, in half of the images at one of its ends."""
    random = np.random.default_rng(0)
    ends = random.integers(0, 2, (IMAGES // 2, *shape)) * 255
    return np.concatenate([random.integers(0, 256, (IMAGES - len(ends), *shape)), ends]).astype(np.uint8)


def golden(folder, images):
    """Writes FOLDER/golden.npz for the .tflite files there.

    It holds `images`, `host` in words, and for each file under its name

      NAME/sha256             of the file
      NAME/low, NAME/high     what the certificate assumes of its scores at eps 0, as they are stored; absent where the
                              file is not certified
      NAME/FAMILY             its scores by each family of kernels that this machine has

    Args:
      folder: WORKDIR/export.
      images: uint8 [N, H, W, C].
    """
    images = np.asarray(images)
    host = next(name for name in tflite.installed_runtimes() if name.startswith(tflite.WITH_FAMILIES))
    x = images.astype(np.float32) / np.float32(255)  # as on the device
    arrays = {"images": images, "host": np.array(f"{host}, {tflite.processor()}")}
    for path in sorted(folder.glob("*.tflite")):
        found = {"sha256": np.array(digest(path)), **tolerated(path, x), **tflite.by_family(path, x)}
        arrays |= {f"{path.name}/{name}": value for name, value in found.items()}
    write_arrays(folder / "golden.npz", **arrays)


def tolerated(path, x):
    """{low, high: bounds of the stored scores of images x, float64 [N, K]}; empty where the file is not certified.

    That includes a file with scores outside them on this machine.
    """
    graph = Graph(path)
    try:
        file.prover(graph)  # a file whose last layer it does not know is not certified
        bounds = file.scores(graph, x, 0)
    except Refusal:
        return {}
    holds = not any(outside_of(bounds, scores).any() for scores in tflite.by_family(path, x).values())
    return dict(zip(("low", "high"), bounds)) if holds else {}
