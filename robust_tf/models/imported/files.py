"""A file of a trained Keras net -> its layers with their arrays, read as data.

.keras       of Keras 3 (config.json, model.weights.h5 in a zip archive), or of Keras 2, the same with other names
.h5          of Keras 2 or 3
SavedModel   a folder of Keras 2 (`model.save`), with keras_metadata.pb
"""

import io
import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import h5py
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.python.framework.errors_impl import OpError
from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

from robust_tf.models.imported import weights
from robust_tf.models.imported.convert import check_known
from robust_tf.models.imported.graph import At, Layer, flat, read_net
from robust_tf.models.imported.inspect import check_safe
from robust_tf.refusal import Refusal

MEMBERS = ("config.json", "metadata.json", "model.weights.h5")  # of a .keras file
MOST_SMALLER = 100  # how many times smaller an archive may be than a member: Keras does not compress, users may


class Source(NamedTuple):
    """A net as its file has it.

    path: of the file. version: of the Keras that wrote it, 2 or 3. steps, output: its layers, see `graph.flat`.
    net: with nesting. image: shape of the images, None where it is open. dtype: of its input, such as uint8.
    config: as in the file.
    """

    path: Path
    version: int
    steps: list
    output: At
    net: Layer
    image: tuple
    dtype: tf.DType
    config: dict


def read(path):
    """The Source of a file or folder; raises Refusal where it holds no net that can be converted, or names code."""
    path = Path(path)
    try:
        if path.is_dir():
            return _read_saved_model(path)
        if not path.exists():
            raise Refusal(f"{path}: expected a file of a Keras net (.keras, .h5) or a SavedModel; got none")
        if not path.is_file():
            raise Refusal(f"{path}: expected a file of a Keras net (.keras, .h5) or a SavedModel; got no regular file")
        if zipfile.is_zipfile(path):
            if path.suffix != ".keras":
                raise Refusal(f"{path}: expected the name of a Keras archive to end in .keras; got {path.name}")
            return _read_keras_file(path)
        if h5py.is_hdf5(path):
            return _read_h5_file(path)
    except (OSError, LookupError, AttributeError, ValueError, TypeError, RuntimeError, EOFError, MemoryError,
            zipfile.BadZipFile, DecodeError, OpError) as error:  # fmt: skip
        raise Refusal(f"{path}: expected a readable Keras net; got {type(error).__name__}: {error}") from None
    raise Refusal(f"{path}: expected a file of a Keras net (.keras, .h5) or a SavedModel; got another file")


def _read_keras_file(path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if not set(MEMBERS) <= set(names):
            raise Refusal(f"{path}: expected {', '.join(MEMBERS)} in it; got {', '.join(names[:5])}")
        for name in MEMBERS:
            size, most = archive.getinfo(name).file_size, MOST_SMALLER * path.stat().st_size
            if size > most:
                raise Refusal(f"{path}: expected at most {most:,} bytes in it; got {name} of {size:,}")
        config, metadata = (json.loads(archive.read(name)) for name in ("config.json", "metadata.json"))
        config.pop("compile_config", None)  # which is not loaded
        version = int(str(metadata["keras_version"]).partition(".")[0])
        stored = archive.read("model.weights.h5")
        with h5py.File(io.BytesIO(stored)) as file:
            weights.check_stored(file, path, len(stored))
            return _source(path, version, config, lambda net: weights.from_keras_file(net, file, path))


def _read_h5_file(path):
    with h5py.File(path) as file:
        weights.check_stored(file, path, path.stat().st_size)
        if "model_config" not in file.attrs:
            raise Refusal(f"{path}: expected a whole net (model.save); got weights alone")
        config = json.loads(file.attrs["model_config"])
        version = file.attrs.get("keras_version", "2")
        version = version.decode() if isinstance(version, bytes) else version
        return _source(
            path,
            int(version.partition(".")[0]),
            config,
            lambda net: weights.from_h5_file(net, file["model_weights"], path),
        )


def _read_saved_model(path):
    if not (path / "saved_model.pb").exists():
        what = "a run directory, whose net is model.keras" if (path / "model.keras").exists() else "another folder"
        raise Refusal(f"{path}: expected a SavedModel (saved_model.pb); got {what}")
    if not (path / "keras_metadata.pb").exists():
        raise Refusal(
            f"{path}: expected a SavedModel that holds a Keras net; got one for inference alone, as model.export writes"
            " it: save the net with model.save"
        )
    metadata = SavedMetadata.FromString((path / "keras_metadata.pb").read_bytes())
    nodes = {node.node_path: node.metadata for node in metadata.nodes}
    root = _decoded(json.loads(nodes["root"]))
    return _source(
        path,
        2,
        {"class_name": root["class_name"], "config": root.get("config")},
        lambda net: weights.from_saved_model(net, path, path),
    )


def _decoded(values):
    """JSON values with lists in place of Keras' notation for tuples."""
    if isinstance(values, dict):
        if values.get("class_name") == "__tuple__":
            return [_decoded(each) for each in values["items"]]
        return {name: _decoded(each) for name, each in values.items()}
    return [_decoded(each) for each in values] if isinstance(values, list) else values


def _source(path, version, config, give_weights):
    if version not in (2, 3):
        raise Refusal(f"{path}: expected a net of Keras 2 or 3; got Keras {version}")
    check_safe(config, path)
    net = read_net(config, path)
    steps, output = flat(net, path)
    check_known(steps, path)
    give_weights(net)
    entry = next(layer for layer in net.layers if layer.name == net.inputs[0]).config
    shape = entry.get("batch_shape") or entry.get("batch_input_shape")
    if not shape or len(shape) != 4:
        raise Refusal(f"{path}: expected images [height, width, channels] as input; got {shape and shape[1:]}")
    dtype = tf.as_dtype(entry.get("dtype") or "float32")
    if not (dtype.is_floating or (dtype.is_integer and dtype.max >= 255)):
        raise Refusal(f"{path}: expected an input of real numbers, or of whole numbers up to 255; got {dtype.name}")
    return Source(path, version, steps, output, net, tuple(shape[1:]), dtype, config)
