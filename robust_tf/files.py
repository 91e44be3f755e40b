"""Atomic writing of files: each is written under another name in the same folder, then renamed."""

import hashlib
import os
from pathlib import Path

import numpy as np

from robust_tf.refusal import Refusal

PARTIAL = "partial-"  # begins the name of a file that is being written


def replace(path, write):
    """Calls write(partial) and renames `partial` to `path`: a reader sees the old file or the new one, never a part."""
    partial = Path(path).with_name(PARTIAL + Path(path).name)
    try:
        write(partial)
        os.replace(partial, path)
    except BaseException:  # a full disk, or a signal
        partial.unlink(missing_ok=True)
        raise


def write_text(path, text):
    """Writes a text file; creates its folder if needed."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    replace(path, lambda partial: partial.write_text(text))


def write_arrays(path, **arrays):
    """Writes an .npz file."""

    def write(partial):
        with partial.open("wb") as file:  # an open file, because NumPy would append .npz to another name
            np.savez_compressed(file, **arrays)

    replace(path, write)


def digest(path):
    """SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def subfolder(folder, name):
    """FOLDER/name, created if needed; raises Refusal if that fails."""
    folder = Path(folder) / name
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise Refusal(f"{folder}: expected a writable folder; got {error}") from None
    return folder
