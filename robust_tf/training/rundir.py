"""The run directory: plain files that each command writes for the next ones.

config.json  classes.json  checkpoints/  history.csv  tensorboard/  model.keras  summary.json  evaluation/  export/
factorised.keras (atmc)  images.json (--dataset=folder)  imported.keras  imported.json (--model=FILE)
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import tempfile
from pathlib import Path

import filelock

from robust_tf import files
from robust_tf.flags.kinds import names_file
from robust_tf.flags.meaning import meant, typed
from robust_tf.flags.text import as_json, from_json, identifying
from robust_tf.records.history import read_history
from robust_tf.records.images import OwnImages
from robust_tf.records.record import convert, json_text, read, read_json
from robust_tf.records.summary import Summary
from robust_tf.refusal import Refusal
from robust_tf.training.config import CONFIG, TrainConfig, lengths_of
from robust_tf.training.lengths import with_lengths

# Flags that may change when a run is resumed; --epochs may only grow.
CHANGEABLE = ("workdir", "data_dir", "memory", "epochs", "distribution", "dry_run")
LOCK = ".lock"
VERSION = 2  # of config.json; files without a version are version 1


class RunDirectory:
    """A run directory at `path`, with one way to open, claim, lock and read it.

        RunDirectory.open(path)           that of a finished run, for later commands
        RunDirectory.for_config(config)   a new or empty one, or that of the same run, for training

    Reading raises Refusal, one line, where a file is missing, damaged or of another version.
    """

    def __init__(self, path):
        self.path = Path(path)

    @classmethod
    def open(cls, path, flag="workdir"):
        """The directory of a finished run, --FLAG; raises Refusal where it is not one."""
        run = cls(path)
        if run.path.is_file():
            raise Refusal(
                f"--{flag}={path}: expected a run directory; got a file: bin/import FILE makes one of a Keras net"
            )
        if not run.net_path.exists():
            got = "an unfinished run" if (run.path / CONFIG).exists() else "none"
            got = f"a SavedModel: bin/import {path} makes one of it" if (run.path / "saved_model.pb").exists() else got
            raise Refusal(f"--{flag}={path}: expected a finished run of bin/train (model.keras); got {got}")
        run.config  # noqa: B018  (read now: later commands need it)
        return run

    @classmethod
    def for_config(cls, config):
        """The directory of the run that `config` describes: new, empty, or of the same run, which then resumes.

        Changes nothing. Raises Refusal where the directory holds another configuration or foreign files, or cannot be
        written.
        """
        run = cls(config.workdir or default_path(config))
        if (run.path / CONFIG).exists():
            run._check_same(config)
        elif run.path.exists() and (not run.path.is_dir() or any(is_foreign(path) for path in run.path.iterdir())):
            raise Refusal(
                f"--workdir={run.path}: expected a run directory, or an empty or new folder; got foreign files"
            )
        check_writable(run.path)
        return run

    def _check_same(self, config):
        config = with_lengths(config, lengths_of(self.path), None)  # lengths that were not given are the run's
        ours, theirs = as_json(config), as_json(self.config)
        compared = (meant(config) | meant(self.config)) - set(CHANGEABLE)  # other flags change nothing
        differ = [name for name in ours if name in compared and ours[name] != theirs[name]]
        if differ:
            expected, got = (
                " ".join(f"--{name}={typed(each, name)}" for name in differ) for each in (self.config, config)
            )
            raise Refusal(f"--workdir={self.path}: expected the flags of that run, {expected}; got {got}")
        finished = self.summary().epochs if self.summary_path.exists() else 0
        if (config.epochs or finished) < finished:
            raise Refusal(f"--workdir={self.path}: expected --epochs >= {finished}, as trained; got {config.epochs}")

    def claim(self, config):
        """Writes config.json; raises Refusal where the folder cannot be written."""
        try:
            files.write_text(self.path / CONFIG, json_text({"record_version": VERSION, **as_json(config)}))
        except OSError as error:
            raise Refusal(f"--workdir={self.path}: expected a writable folder; got {error}") from None

    @contextlib.contextmanager
    def locked(self):
        """Holds an exclusive lock on the directory, which is created if needed.

        Raises Refusal if another process holds the lock. The kernel releases it when the process ends, however it ends.
        """
        lock = filelock.FileLock(self.path / LOCK, blocking=False)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except filelock.Timeout:
            raise Refusal(
                f"--workdir={self.path}: expected an exclusive lock on it; got a lock of another process"
            ) from None
        except OSError as error:
            raise Refusal(f"--workdir={self.path}: expected a writable folder; got {error}") from None
        try:
            yield self
        finally:
            lock.release()

    @functools.cached_property
    def config(self):
        """The TrainConfig; flags that config.json lacks have their defaults."""
        source = self.path / CONFIG
        values = read_json(source)
        version = values.pop("record_version", 1) if isinstance(values, dict) else 1
        if version not in range(1, VERSION + 1):
            raise Refusal(f"{source}: expected a configuration of version {VERSION} or before; got {version!r}")
        config = from_json(TrainConfig, values, source)
        missing = [name for name in ("dataset", "model", "method", "norm", "eps") if values.get(name) is None]
        if missing:
            raise Refusal(f"{source}: expected a configuration of bin/train; got one without {missing[0]}")
        return config

    @property
    def net_path(self):
        return self.path / "model.keras"

    @property
    def factorised_path(self):
        """ATMC's net with its factors; only --method=atmc writes it."""
        return self.path / "factorised.keras"

    @property
    def imported_path(self):
        """The net of --model=FILE as the run began with it."""
        return self.path / "imported.keras"

    @property
    def import_record_path(self):
        return self.path / "imported.json"

    @property
    def digest(self):
        """SHA-256 of model.keras, by which records identify the net."""
        return files.digest(self.net_path)

    @property
    def summary_path(self):
        return self.path / "summary.json"

    def summary(self):
        return read(self.summary_path, Summary)

    def has_trained(self, epochs):
        """Whether training has ended, with these epochs of the main stage, or None for those of the run."""
        return self.summary_path.exists() and self.summary().epochs == (epochs or self.config.epochs)

    @property
    def history_path(self):
        return self.path / "history.csv"

    def history(self):
        return read_history(self.history_path)

    @property
    def classes(self):
        """Names of the classes that the run learns; None where no file has them."""
        source = self.path / "classes.json"
        if source.exists():
            return convert(read_json(source), tuple[str, ...], source)
        return self.summary().class_names if self.summary_path.exists() else None

    def write_classes(self, names):
        files.write_text(self.path / "classes.json", json_text(list(names)))

    @property
    def images_path(self):
        return self.path / "images.json"

    @property
    def images(self):
        """The OwnImages that the run uses; None where it has not chosen them."""
        return read(self.images_path, OwnImages) if self.images_path.exists() else None

    @property
    def export(self):
        return self.path / "export"

    def subfolder(self, name):
        """The folder `name`, which is created if needed; raises Refusal where that fails."""
        return files.subfolder(self.path, name)


def check_writable(folder):
    """Raises Refusal where a folder can be neither written nor made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except NotADirectoryError:
        raise Refusal(f"--workdir={folder}: expected a writable folder; got a file at {there}") from None
    except OSError as error:
        raise Refusal(f"--workdir={folder}: expected a writable folder; got {error.strerror} at {there}") from None


def is_foreign(path):
    """Whether a file is not one that a process leaves behind which is killed before it has written config.json."""
    return path.name != LOCK and not path.name.startswith(files.PARTIAL)


def settled(config, train_images, claims=True):
    """The TrainConfig with all lengths, and with the path of its run directory, whose name does not depend on lengths
    that were not given.

    Args:
      train_images: number of training images, validation images included.
      claims: whether this process writes the run directory; only then it may have recorded lengths.

    Raises Refusal as `RunDirectory.for_config`.
    """
    recorded = {}
    if claims:
        run = RunDirectory.for_config(config)
        config, recorded = dataclasses.replace(config, workdir=str(run.path)), lengths_of(run.path)
    return with_lengths(config, recorded, train_images)


def imported_by(config):
    """The RunDirectory that holds the net of --model=FILE, as imported by this run or --init_from; None for none yet.

    Raises Refusal where there is neither a file nor such a run.
    """
    runs = [RunDirectory(config.workdir or default_path(config))]
    runs += [RunDirectory(config.init_from)] if config.init_from else []
    same = ("model", "dataset", "image_size", "grey", "input_scaling", "labels")
    for run in runs:
        made = run.import_record_path.exists() and (run.path / CONFIG).exists()
        if made and all(getattr(run.config, name) == getattr(config, name) for name in same):
            return run
    if not Path(config.model).exists():
        raise Refusal(
            f"--model={config.model}: expected a Keras net there, or in a run directory that began with it; got none"
        )
    return None


def default_path(config):
    """runs/DATASET-MODEL-METHOD-HASH; the hash covers all flags that `RunDirectory.for_config` compares, if they differ
    from those of a command line without flags. Lengths that are not `settled` are None in it."""
    identity = {name: value for name, value in identifying(config).items() if name not in CHANGEABLE}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    model = Path(config.model).stem if names_file(config.model) else config.model.replace(":", ".")
    return Path("runs") / f"{config.dataset}-{model}-{config.method}-{digest}"
