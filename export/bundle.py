"""One archive with all that a device needs: the files, labels, sample images, the benchmark script, how to run it."""

import gzip
import io
import tarfile
from pathlib import Path

from robust_tf import rundir

KIT = ("benchmark_tflite.py", "requirements-device.txt", "Containerfile", "README.md")


def bundle(folder, name, class_names, preprocessing):
    """Writes FOLDER/bundle.tar.gz and returns its path.

    Its members lie in a folder `name`, under relative names, without owners or times, so that the same export gives the
    same archive.

    Args:
      folder: WORKDIR/export with its files.
      name: of the run.
      class_names: of the labels, in the order of the logits.
      preprocessing: dict, what the files expect of an image.
    """
    folder, kit = Path(folder), Path(__file__).parent
    contents = {path.name: path.read_bytes() for path in sorted(folder.glob("*.tflite"))}
    contents |= {name: (folder / name).read_bytes() for name in ("manifest.json", "sample.npz")}
    contents |= {name: (kit / name).read_bytes() for name in KIT}
    contents["labels.txt"] = "".join(f"{label}\n" for label in class_names).encode()
    contents["preprocessing.json"] = rundir.json_text(preprocessing).encode()
    path = folder / "bundle.tar.gz"
    rundir.replace(path, lambda partial: partial.write_bytes(packed(name, contents)))
    return path


def packed(name, contents):
    """The bytes of a .tar.gz of name/KEY for the keys of `contents`."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for key, content in contents.items():
            member = tarfile.TarInfo(f"{name}/{key}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(tar.getvalue(), mtime=0)
