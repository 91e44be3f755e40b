"""The run directory: what each stage leaves for the next, as plain files.

config.json  classes.json  checkpoints/  history.csv  tensorboard/  model.keras  summary.json  evaluation/  export/
factorised.keras (atmc)
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from pathlib import Path

import filelock
import numpy as np

from robust_tf.config import TrainConfig, parse
from robust_tf.refusal import Refusal

# Where a run and its data lie is no part of what it is, and more epochs continue it.
FREE = ("workdir", "data_dir", "epochs", "distribution", "dry_run")
LOCK = ".lock"
READ = ("dataset", "data_dir", "model", "method", "norm", "eps")  # by later stages


def write_json(path, record):
    """Writes atomically: a reader sees the old file or the new one."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    replace(path, lambda partial: partial.write_text(json_text(record)))


def write_arrays(path, **arrays):
    """Writes an .npz atomically; an open file, as NumPy would give a name without .npz another."""

    def write(partial):
        with partial.open("wb") as file:
            np.savez_compressed(file, **arrays)

    replace(path, write)


def json_text(record):
    return json.dumps(record, indent=2) + "\n"


def read_json(path, kind=dict):
    """The dict, or list, in `path`; raises Refusal where it is missing, damaged or of another kind."""
    try:
        record = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise Refusal(f"expected a readable JSON file {path}; got {error}") from None
    if not isinstance(record, kind):
        raise Refusal(f"expected a JSON {'object' if kind is dict else 'list'} in {path}; got {str(record)[:80]}")
    return record


def read_config(workdir):
    """config.json of a run as a dict with a value for every flag of bin/train; raises Refusal where it is not one.

    A flag that is younger than the run has its default.
    """
    record = read_json(Path(workdir) / "config.json")
    missing = [name for name in READ if name not in record]
    if missing:
        raise Refusal(f"{workdir}/config.json: expected a configuration of bin/train; got one without {missing[0]}")
    record = as_json(parse(TrainConfig, [])) | record
    for name in (*READ, "image_size"):
        value = record[name]
        if name == "data_dir" and value is None:
            continue
        text = "x".join(map(str, value)) if isinstance(value, list) else str(value)
        try:
            TrainConfig.__dataclass_fields__[name].metadata["kind"].parse(text)
        except ValueError as error:
            raise Refusal(f"{workdir}/config.json: {name}: {error}") from None
    return record


def as_json(config):
    """The configuration as it stands in config.json."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def default_workdir(config):
    """runs/DATASET-MODEL-METHOD-HASH; the hash covers all that `claim` compares."""
    identity = {key: value for key, value in as_json(config).items() if key not in FREE}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    return Path("runs") / f"{config.dataset}-{config.model.replace(':', '.')}-{config.method}-{digest}"


def claimable(config):
    """The run directory of `config`: new, empty, or of this very run, which then resumes. Changes nothing.

    Raises Refusal where it holds another configuration or foreign files.
    """
    workdir = Path(config.workdir) if config.workdir else default_workdir(config)
    ours = as_json(config)
    if (workdir / "config.json").exists():
        theirs = read_config(workdir)
        for key in sorted(ours.keys() | theirs.keys()):
            if key not in FREE and ours.get(key) != theirs.get(key):
                raise Refusal(
                    f"--workdir={workdir} belongs to another configuration: expected --{key}={theirs.get(key)};"
                    f" got {ours.get(key)}"
                )
        summary = read_json(workdir / "summary.json") if (workdir / "summary.json").exists() else {}
        finished = summary.get("epochs", 0)
        if not isinstance(finished, int):
            raise Refusal(f"expected a number of epochs in {workdir}/summary.json; got {finished!r}")
        if ours["epochs"] < finished:
            raise Refusal(f"--workdir={workdir}: expected --epochs >= {finished}, as trained; got {ours['epochs']}")
    elif workdir.exists() and (not workdir.is_dir() or any(path.name != LOCK for path in workdir.iterdir())):
        raise Refusal(f"--workdir={workdir}: expected a run directory, an empty or a new folder; got foreign files")
    return workdir


def claim(config):
    """Writes config.json into the run directory of `config` and returns it; raises Refusal as `claimable`."""
    workdir = claimable(config)
    try:
        write_json(workdir / "config.json", as_json(config))
    except OSError as error:
        raise Refusal(f"--workdir={workdir}: expected a writable folder; got {error}") from None
    return workdir


@contextlib.contextmanager
def locked(workdir):
    """Keeps other processes from work on the run directory, which is made if need be; raises Refusal if one is at it.

    The lock is the kernel's: it goes with the process, however that ends.
    """
    workdir = Path(workdir)
    lock = filelock.FileLock(workdir / LOCK, blocking=False)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise Refusal(f"--workdir={workdir}: expected no other process at work on it; got one") from None
    except OSError as error:
        raise Refusal(f"--workdir={workdir}: expected a writable folder; got {error}") from None
    try:
        yield
    finally:
        lock.release()


def class_names(workdir):
    """The classes that a run learns, as a list; None where it does not say."""
    workdir = Path(workdir)
    if (workdir / "classes.json").exists():
        return read_json(workdir / "classes.json", list)
    if (workdir / "summary.json").exists():
        return read_json(workdir / "summary.json").get("class_names")
    return None


def trained(workdir, flag="workdir"):
    """(configuration as a dict, path of model.keras) of a finished run, --FLAG; raises Refusal where it is not one."""
    workdir = Path(workdir)
    if not (workdir / "model.keras").exists():
        raise Refusal(f"--{flag}={workdir}: expected a finished run of bin/train (model.keras); got none")
    return read_config(workdir), workdir / "model.keras"


def digest(path):
    """SHA-256 of a file: which net a record speaks of."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def subfolder(workdir, name):
    """WORKDIR/name, made if need be; raises Refusal where it cannot be written."""
    folder = Path(workdir) / name
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise Refusal(f"expected a writable folder {folder}; got {error}") from None
    return folder


def replace(path, write):
    """write(partial), then partial -> path: whoever reads `path` sees a whole file, or the one before."""
    partial = Path(path).with_name(f"partial-{Path(path).name}")
    try:
        write(partial)
        os.replace(partial, path)
    except BaseException:  # a full disk, or a signal
        partial.unlink(missing_ok=True)
        raise
