"""The certificate of a .tflite file on test images, beside what a runtime computes."""

import json
import time
import zipfile

import numpy as np

from robust_tf.certification import file
from robust_tf.certification.requantise import FAMILIES
from robust_tf.data.pixels import in_batches, pixels
from robust_tf.evaluation import tflite
from robust_tf.files import digest, write_arrays
from robust_tf.records.evaluation import CertifiedFile
from robust_tf.records.interval import interval
from robust_tf.records.manifest import Certificate
from robust_tf.refusal import Refusal
from robust_tf.tflite.graph import Graph

BY_FAMILY = 100  # images whose scores are compared by all families of kernels; the reference kernels are slow


def certified_file(path, images, labels, eps, batch_size, *, scaling=None, state_path=None, advance=lambda count: None):
    """The CertifiedFile of `path`.

    Where the certificate does not know the file, or its bounds do not hold the runtime's scores, it has the reason and
    no counts.

    Args:
      path: a .tflite file of these images and classes.
      images, labels: uint8 [N, H, W, C] or pixels, and int [N].
      eps: radius in pixels of [0, 1].
      batch_size: images bounded at once.
      scaling: None or the Scaling of the pixels before the file's input.
      state_path: None or a path (.npz) that is rewritten after each batch, from which the same call goes on; the caller
        removes it.
      advance: called with the number of images after each batch.

    Raises Refusal for a damaged file.
    """
    graph, identity = Graph(path), json.dumps([digest(path), eps, batch_size, len(images)])
    runtime = tflite.installed_runtimes()[0]
    loaded = tflite.interpreter(path, runtime.split()[0])
    reason, prove = None, None
    try:
        prove = file.prover(graph, scaling)
        elsewhere = outside_by_family(path, graph, pixels(images[:BY_FAMILY]).numpy(), scaling)
    except Refusal as refusal:
        reason, elsewhere = str(refusal), {}
    found, seconds = restored(state_path, identity)  # found: bool [4, images that are done], rows as below
    advance(found.shape[1])
    for _, x, y in in_batches(images[found.shape[1] :], labels[found.shape[1] :], batch_size):
        x = x.numpy()
        scores = tflite.outputs(loaded, given_to(x, scaling))
        rows = np.zeros((4, len(y)), bool)  # correct, outside the bounds at eps 0, certified at eps 0, and at eps
        rows[0] = scores.argmax(-1) == y
        began = time.perf_counter()
        try:
            if not reason:
                rows[1:] = outside_of(file.scores(graph, x, 0, scaling), scores), prove(x, y, 0), prove(x, y, eps)
        except Refusal as refusal:  # of an operation that bounds do not know
            reason = str(refusal)
        seconds += time.perf_counter() - began
        found = np.concatenate([found, rows], 1)
        if state_path and not reason:
            write_arrays(state_path, found=found, seconds=seconds, of=identity)
        advance(len(y))
    correct, outside, clean, certified = map(int, found.sum(1))
    by_family = [(f"of the family {name}", count, min(BY_FAMILY, len(images))) for name, count in elsewhere.items()]
    for kernels, count, of in ((f"of {runtime}", outside, len(images)), *by_family):
        if not reason and count:
            reason = f"{count} of {of} images have scores outside its bounds with the kernels {kernels}"
    counts = {"reason": reason}
    if not reason:
        share = interval(certified / len(images), len(images))
        counts = {"certified": certified, "interval": share, "certified_clean": clean}
    return CertifiedFile(
        sha256=digest(path),
        bytes=path.stat().st_size,
        correct=correct,
        outside=max(outside, *elsewhere.values(), 0),
        certificate=Certificate(
            eps=eps, num_images=len(images), families=tuple(FAMILIES), runtime=runtime, cpu=tflite.processor(),
            seconds=round(seconds, 2), **counts,
        ),
    )  # fmt: skip


def given_to(x, scaling):
    """What a program gives the file for pixels x."""
    return scaling.of(x).astype(np.float32) if scaling else x


def outside_of(bounds, scores):
    """Which images have a score outside its bounds (low, high), bool [N]."""
    low, high = bounds
    return ~((low <= scores) & (scores <= high)).all(-1)


def outside_by_family(path, graph, x, scaling=None):
    """{family: number of the images x with a score outside the bounds at eps 0}, of each that can run the file."""
    bounds = file.scores(graph, x, 0, scaling)
    found = tflite.by_family(path, given_to(x, scaling))
    return {family: int(outside_of(bounds, scores).sum()) for family, scores in found.items()}


def restored(state_path, identity):
    """(found, seconds) of the state file; those of no image where there is none, or one of other files or settings."""
    try:
        with np.load(state_path, allow_pickle=False) as state:
            if str(state["of"]) == identity:
                return state["found"], float(state["seconds"])
    except (TypeError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # nothing is lost but the time of the images that were done
    return np.zeros((4, 0), bool), 0.0
