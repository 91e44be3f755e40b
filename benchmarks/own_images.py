"""Images per second and peak memory when the user's own JPEG images are checked, read into memory, and streamed.

Writes random images of 224x224 as JPEG files, smooth as photographs are, in a temporary folder. The limit of the cores
is the speed of one thread that decodes and scales, in images per second of processor time, times the number of cores.
Processor time also shows what each way costs where other programs keep the cores busy. Each way runs in a process of
its own, which starts with TensorFlow imported, and whose peak memory is given; the files are in the page cache.

    bin/python benchmarks/own_images.py [--images=20000] [--image_size=224] [--batch_size=128]
"""

import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path

import robust_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is imported)

# isort: split
import numpy as np
from absl import app, flags
from PIL import Image

from robust_tf.data.decode import attempted, digest, read
from robust_tf.data.image_files import ImageFiles, in_memory
from robust_tf.data.pipeline import stream

IMAGES = flags.DEFINE_integer("images", 20000, "number of images", lower_bound=200)
SIZE = flags.DEFINE_integer("image_size", 224, "side of the images that are read", lower_bound=8)
BATCH = flags.DEFINE_integer("batch_size", 128, "images in a batch of the stream", lower_bound=1)
SIDE, QUALITY = 224, 90  # of the files
MIB = 2**20


def write(folder, count):
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (28, 28, 3), np.uint8))
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{i}.jpg", quality=QUALITY)


def one_thread(paths, size, batch_size):
    for path in paths[: len(paths) // 10]:
        read(path, (size, size), 3)
    return len(paths) // 10


def checked(paths, size, batch_size):
    return sum(not reason for _, _, reason in attempted(lambda path: digest(path, 3), paths))


def held(paths, size, batch_size):
    return len(in_memory(ImageFiles(paths, (size, size), 3), memory=2**20))


def streamed(paths, size, batch_size):
    return drawn(ImageFiles(paths, (size, size), 3), batch_size)


def from_memory(paths, size, batch_size):
    return drawn(np.ones((len(paths), size, size, 3), np.uint8), batch_size)


def drawn(images, batch_size):
    steps = len(images) // batch_size
    return sum(len(y) for _, y in stream(images, np.zeros(len(images), np.int64), batch_size, 0).take(steps))


WAYS = {
    "one thread, a tenth of the images": one_thread,
    "checked before training (decoded, not scaled)": checked,
    "read into memory": held,
    "streamed from the files in batches": streamed,
    "for comparison: the same batches from memory": from_memory,
}


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB


def measured(way, *arguments):
    """(images per second, images per second of processor time, MiB at the start, peak MiB)."""
    before, began, used = peak(), time.perf_counter(), time.process_time()
    count = WAYS[way](*arguments)
    return count / (time.perf_counter() - began), count / (time.process_time() - used), before, peak()


def main(_):
    cores, alone = len(os.sched_getaffinity(0)), multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), IMAGES.value)
        paths = sorted(map(str, Path(folder).iterdir()))
        file_mib = sum(map(os.path.getsize, paths)) / MIB
        array_mib = IMAGES.value * SIZE.value**2 * 3 / MIB
        print(f"{IMAGES.value:,} files of {file_mib:,.0f} MiB; as an array {array_mib:,.0f} MiB; {cores} cores")
        limit = None
        for way in WAYS:
            with alone.Pool(1) as process:
                speed, per_second, before, most = process.apply(measured, (way, paths, SIZE.value, BATCH.value))
            limit = limit or per_second * cores
            print(
                f"{way:46}  {speed:6,.0f} images/s, {speed / limit:4.0%} of the limit; {per_second:6,.0f} images/s of"
                f" processor time; memory {before:,.0f} MiB, at most {most:,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    app.run(main)
