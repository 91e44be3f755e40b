"""One archive with all that a device needs: .tflite files, labels, sample images, golden vectors, benchmark, README."""

import gzip
import io
import tarfile
from pathlib import Path

from robust_tf.files import replace
from robust_tf.records.record import json_text

KIT = ("benchmark_tflite.py", "requirements-device.txt", "Containerfile", "README.md")


def bundle(folder, name, class_names, preprocessing, sample=True):
    """Writes FOLDER/bundle.tar.gz and returns its path.

    All members have relative names below the folder `name`, without owners or times. So the same export always gives
    the same archive.

    Args:
      folder: WORKDIR/export, which holds the exported files.
      name: name of the run.
      class_names: in the order of the logits.
      preprocessing: dict that describes the input the files expect.
      sample: whether it holds sample.npz, images of the data set.
    """
    folder, kit = Path(folder), Path(__file__).parent
    contents = {path.name: path.read_bytes() for path in sorted(folder.glob("*.tflite"))}
    written = ("manifest.json", "golden.npz", *(["sample.npz"] if sample else []))
    contents |= {name: (folder / name).read_bytes() for name in written}
    contents |= {name: (kit / name).read_bytes() for name in KIT}
    contents["labels.txt"] = "".join(f"{label}\n" for label in class_names).encode()
    contents["preprocessing.json"] = json_text(preprocessing).encode()
    path = folder / "bundle.tar.gz"
    replace(path, lambda partial: partial.write_bytes(packed(name, contents)))
    return path


def packed(name, contents):
    """The bytes of a .tar.gz with a member name/KEY for each key of `contents`."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for key, content in contents.items():
            member = tarfile.TarInfo(f"{name}/{key}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(tar.getvalue(), mtime=0)
