"""Training on several machines: which of the workers this process is, and what they tell each other beside gradients.

Every worker runs the same command; TF_CONFIG in its environment names them all. The first of them, the chief, writes
the run directory. The others write a copy of it, which goes with them, so that no storage need be shared.
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
from pathlib import Path

import numpy as np
import tensorflow as tf

from robust_tf import rundir
from robust_tf.refusal import Refusal
from robust_tf.signals import handled
from robust_tf.training.guards import TrainingFailed

LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)  # by a collective operation
PIECE = 2**25  # numbers that go to the workers at once, 128 MiB
EXPECTED = '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'


def multiworker():
    """TensorFlow's strategy for the workers that TF_CONFIG names; raises Refusal where it does not name them well."""
    check(os.environ.get("TF_CONFIG", ""))
    print("waiting for all workers of TF_CONFIG", flush=True)
    try:
        with handled(signal.SIGINT, signal.SIG_DFL):  # Python's own would wait for TensorFlow to return
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:  # its port is taken, for one
        raise Refusal(f"--distribution=multiworker: expected to reach the workers of TF_CONFIG; got {error}") from None


def check(text):
    """Raises Refusal where `text`, of TF_CONFIG, is not of workers, this process being one of them."""
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
            f"--distribution=multiworker: expected TF_CONFIG in each worker's environment, as {EXPECTED}, with that"
            f" worker's index; got {text or 'none'}"
        )


def workers(devices):
    """Their number; 1 without such a strategy."""
    resolver = devices.cluster_resolver
    return resolver.cluster_spec().num_tasks("worker") if resolver else 1


def is_chief(devices):
    return workers(devices) == 1 or devices.cluster_resolver.task_id == 0


def from_chief(devices, numbers):
    """The float32 vector `numbers` of the chief, on every worker; the others' is of the same length."""
    mine = tf.constant(numbers, tf.float32)

    def said():
        first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
        return mine if first else tf.zeros_like(mine)

    return devices.reduce("SUM", devices.run(said), axis=None).numpy()


def any_worker(devices, holds):
    """Whether `holds` is true on one of the workers; each asks at the same place."""
    if workers(devices) == 1:
        return holds
    return float(devices.reduce("SUM", devices.run(lambda: tf.constant(float(holds))), axis=None)) > 0


@contextlib.contextmanager
def claimed(config, devices):
    """The run directory that this process writes, of the run `config`; raises Refusal where it cannot be had."""
    if is_chief(devices):
        with rundir.locked(rundir.claimable(config)):
            workdir = rundir.claim(config)
            if workers(devices) > 1:
                hand_out(devices, packed(workdir))
            yield workdir
        return
    with tempfile.TemporaryDirectory(prefix="robust_tf-") as folder:
        unpack(hand_out(devices), folder)
        yield Path(folder)


def packed(workdir):
    """What a resumed run reads, as bytes: of a stage that is done its end, of another all."""
    archive = io.BytesIO()
    done = {path.parent for path in (workdir / "checkpoints").glob("*/final-*.weights.h5")}
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in [workdir / "history.csv", *sorted((workdir / "checkpoints").glob("*/*"))]:
            if path.is_file() and (path.parent not in done or path.name.startswith("final-")):
                tar.add(path, arcname=path.relative_to(workdir))
    return archive.getvalue()


def unpack(archive, folder):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")


def hand_out(devices, archive=b""):
    """The chief's bytes, on every worker; of an even number, as those of an archive are."""
    # Every device sums float32, which holds 16 bits exactly; two numbers tell a size up to 2^48.
    size = from_chief(devices, [len(archive) // 2**24, len(archive) % 2**24])
    size = int(size[0]) * 2**24 + int(size[1])
    numbers = np.frombuffer(archive or bytes(size), np.uint16)
    pieces = [from_chief(devices, numbers[i : i + PIECE]) for i in range(0, len(numbers), PIECE)]
    return b"".join(piece.astype(np.uint16).tobytes() for piece in pieces)


def check_alike(devices, *what):
    """Raises Refusal, on all workers, where `what` is not the same on each: JSON values, and arrays."""
    if workers(devices) == 1:
        return
    digest = hashlib.sha256()
    for each in what:
        digest.update(each.tobytes() if isinstance(each, np.ndarray) else json.dumps(each, sort_keys=True).encode())
    mine = np.frombuffer(digest.digest(), np.uint16)
    if any_worker(devices, (from_chief(devices, mine) != mine).any()):
        raise Refusal(
            "--distribution=multiworker: expected the same flags, images and first weights on all workers; got"
            " different ones"
        )


@contextlib.contextmanager
def none_is_lost(devices):
    """Raises TrainingFailed where another worker has gone while this one trained."""
    try:
        yield
    except LOST as e:
        if workers(devices) == 1:
            raise
        lines = [line.split("aborted by:")[-1].strip(" :") for line in str(e.message).splitlines() if "aborted" in line]
        reason = [*lines, *str(e.message).splitlines(), type(e).__name__][0]
        raise TrainingFailed(
            f"another worker has gone ({reason}); the same command on all workers goes on from the last checkpoint,"
            " if there is one"
        ) from None
