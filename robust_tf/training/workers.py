"""Training on several machines: which worker this process is, and what workers exchange beside gradients.

Every worker runs the same command; TF_CONFIG in its environment names them all. Worker 0, the chief, writes the run
directory. The others write a temporary copy of it, so that the machines need no shared storage.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import signal
import tarfile
import tempfile

import numpy as np
import tensorflow as tf

from robust_tf.data.image_files import ImageFiles
from robust_tf.refusal import Refusal
from robust_tf.signals import handled
from robust_tf.training.failure import TrainingFailed
from robust_tf.training.rundir import RunDirectory

LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)  # of collective operations
PIECE = 2**25  # float32 numbers that are sent at once, 128 MiB
EXPECTED = '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'


def multiworker():
    """TensorFlow's strategy for the workers that TF_CONFIG names; raises Refusal where it is invalid."""
    check(os.environ.get("TF_CONFIG", ""))
    print("waiting for all workers of TF_CONFIG", flush=True)
    try:
        with handled(signal.SIGINT, signal.SIG_DFL):  # Python's handler would run only after TensorFlow returns
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:  # for example because the port is in use
        raise Refusal(f"--distribution=multiworker: expected to reach the workers of TF_CONFIG; got {error}") from None


def check(text):
    """Raises Refusal where `text`, the value of TF_CONFIG, does not name several workers, this process among them."""
    try:
        record = json.loads(text)
        workers, task = record["cluster"]["worker"], record["task"]
        good = set(record["cluster"]) == {"worker"} and isinstance(workers, list) and len(set(workers)) == len(workers)
        good = good and len(workers) > 1 and all(re.fullmatch(r".+:\d+", worker) for worker in workers)
        good = good and task["type"] == "worker" and type(task["index"]) is int and 0 <= task["index"] < len(workers)
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise Refusal(
            f"--distribution=multiworker: expected TF_CONFIG in each worker's environment, like {EXPECTED}, with the"
            f" index of that worker; got {text or 'none'}"
        )


def workers(devices):
    """The number of workers; 1 without a multi-worker strategy."""
    resolver = devices.cluster_resolver
    return resolver.cluster_spec().num_tasks("worker") if resolver else 1


def is_chief(devices):
    return workers(devices) == 1 or devices.cluster_resolver.task_id == 0


def from_chief(devices, numbers):
    """The chief's float32 vector `numbers`, on every worker; the others pass a vector of the same length."""
    mine = tf.constant(numbers, tf.float32)

    def contribution():
        is_replica_0 = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
        return mine if is_replica_0 else tf.zeros_like(mine)

    return devices.reduce("SUM", devices.run(contribution), axis=None).numpy()


def any_worker(devices, holds):
    """Whether `holds` is true on any worker; all workers must call it at the same point."""
    if workers(devices) == 1:
        return holds
    return float(devices.reduce("SUM", devices.run(lambda: tf.constant(float(holds))), axis=None)) > 0


@contextlib.contextmanager
def claimed(config, devices):
    """The RunDirectory that this process writes, locked on the chief; raises Refusal where that fails."""
    if is_chief(devices):
        with RunDirectory.for_config(config).locked() as run:
            run.claim(config)
            if workers(devices) > 1:
                hand_out(devices, packed(run.path))
            yield run
        return
    with tempfile.TemporaryDirectory(prefix="robust_tf-") as folder:
        unpack(hand_out(devices), folder)
        yield RunDirectory(folder)


def packed(workdir):
    """The files that a resumed run reads, as bytes of a tar archive; of a finished stage only its final weights."""
    archive = io.BytesIO()
    finished = {path.parent for path in (workdir / "checkpoints").glob("*/final-*.weights.h5")}
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in [workdir / "history.csv", *sorted((workdir / "checkpoints").glob("*/*"))]:
            if path.is_file() and (path.parent not in finished or path.name.startswith("final-")):
                tar.add(path, arcname=path.relative_to(workdir))
    return archive.getvalue()


def unpack(archive, folder):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")


def hand_out(devices, archive=b""):
    """The chief's `archive`, on every worker; its length is even, as that of every tar archive."""
    # All devices can sum float32, which holds integers up to 2^24 exactly: so a size below 2^48 takes two numbers, and
    # the bytes are sent as 16-bit integers.
    size = from_chief(devices, [len(archive) // 2**24, len(archive) % 2**24])
    size = int(size[0]) * 2**24 + int(size[1])
    numbers = np.frombuffer(archive or bytes(size), np.uint16)
    pieces = [from_chief(devices, numbers[i : i + PIECE]) for i in range(0, len(numbers), PIECE)]
    return b"".join(piece.astype(np.uint16).tobytes() for piece in pieces)


def check_alike(devices, *what):
    """Raises Refusal, on all workers, where `what` differs between them: JSON values, arrays, images in files."""
    if workers(devices) == 1:
        return
    digest = hashlib.sha256()
    for each in what:
        for part in as_bytes(each):
            digest.update(part)
    mine = np.frombuffer(digest.digest(), np.uint16)
    if any_worker(devices, (from_chief(devices, mine) != mine).any()):
        raise Refusal(
            "--distribution=multiworker: expected the same flags, images and initial weights on all workers; got"
            " different ones"
        )


def as_bytes(each, batch_size=500):
    """Bytes that identify JSON values, an array, or images in files, of which a batch is in memory."""
    if isinstance(each, np.ndarray):
        yield each.tobytes()
    elif isinstance(each, ImageFiles):
        yield from (np.asarray(each[i : i + batch_size]).tobytes() for i in range(0, len(each), batch_size))
    else:
        yield json.dumps(each, sort_keys=True).encode()


@contextlib.contextmanager
def none_is_lost(devices):
    """Raises TrainingFailed if another worker is lost during training."""
    try:
        yield
    except LOST as e:
        if workers(devices) == 1:
            raise
        lines = [line.split("aborted by:")[-1].strip(" :") for line in str(e.message).splitlines() if "aborted" in line]
        reason = [*lines, *str(e.message).splitlines(), type(e).__name__][0]
        raise TrainingFailed(
            f"another worker is lost ({reason}); the same command on all workers resumes from the last checkpoint, if"
            " there is one"
        ) from None
