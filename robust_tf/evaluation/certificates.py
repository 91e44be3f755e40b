"""The certificate of a .tflite file on test images, beside what a runtime computes."""

import json
import time
import zipfile

import numpy as np

from robust_tf.certification import file
from robust_tf.data.pixels import in_batches
from robust_tf.evaluation import tflite
from robust_tf.files import digest, write_arrays
from robust_tf.records.evaluation import CertifiedFile
from robust_tf.records.manifest import Certificate
from robust_tf.refusal import Refusal
from robust_tf.tflite.graph import Graph


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
    except Refusal as refusal:
        reason = str(refusal)
    found, seconds = restored(state_path, identity)  # found: bool [4, images that are done], rows as below
    advance(found.shape[1])
    for _, x, y in in_batches(images[found.shape[1] :], labels[found.shape[1] :], batch_size):
        x = x.numpy()
        scores = tflite.outputs(loaded, scaling.of(x).astype(np.float32) if scaling else x)
        rows = np.zeros((4, len(y)), bool)  # correct, outside the bounds at eps 0, certified at eps 0, and at eps
        rows[0] = scores.argmax(-1) == y
        began = time.perf_counter()
        try:
            if not reason:
                low, high = file.scores(graph, x, 0, scaling)
                rows[1:] = ~((low <= scores) & (scores <= high)).all(-1), prove(x, y, 0), prove(x, y, eps)
        except Refusal as refusal:  # of an operation that bounds do not know
            reason = str(refusal)
        seconds += time.perf_counter() - began
        found = np.concatenate([found, rows], 1)
        if state_path and not reason:
            write_arrays(state_path, found=found, seconds=seconds, of=identity)
        advance(len(y))
    correct, outside, clean, certified = map(int, found.sum(1))
    if not reason and outside:
        reason = f"{outside} of {len(images)} images have scores outside its bounds with the kernels of {runtime}"
    counts = {"reason": reason} if reason else {"certified": certified, "certified_clean": clean}
    return CertifiedFile(
        sha256=digest(path),
        bytes=path.stat().st_size,
        correct=correct,
        outside=outside,
        certificate=Certificate(eps=eps, num_images=len(images), seconds=round(seconds, 2), **counts),
    )


def restored(state_path, identity):
    """(found, seconds) of the state file; those of no image where there is none, or one of other files or settings."""
    try:
        with np.load(state_path, allow_pickle=False) as state:
            if str(state["of"]) == identity:
                return state["found"], float(state["seconds"])
    except (TypeError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # nothing is lost but the time of the images that were done
    return np.zeros((4, 0), bool), 0.0
