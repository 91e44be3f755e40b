"""The arrays of each layer, from each file format: `Layer.arrays`, the trainable ones first.

A .keras file names a layer by its class and place; an .h5 file lists all arrays of a nested net together; a SavedModel
has a graph of objects.
"""

import math
import re

import h5py
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from robust_tf.models.imported.layers import LAYERS
from robust_tf.refusal import Refusal


def check_stored(group, source, room):
    """Raises Refusal unless all arrays are in the file itself, and take at most `room` bytes; returns the rest of it.

    HDF5 may link to other files, whose bytes a net would then carry away, and declare arrays that it does not hold.
    Keras stores arrays as they are, so that together they are smaller than the file.
    """
    for name in group:
        inside = isinstance(group.get(name, getlink=True), h5py.HardLink)
        member = group[name] if inside else None
        if isinstance(member, h5py.Group):
            room = check_stored(member, source, room)
        elif not inside or (isinstance(member, h5py.Dataset) and (member.external or member.is_virtual)):
            raise Refusal(f"{source}: expected arrays in the file itself; got a link to another place, {name}")
        elif isinstance(member, h5py.Dataset):
            room -= member.nbytes
            check_room(room, member.name.strip("/"), member.shape, source)
    return room


def check_room(room, name, shape, source):
    if room < 0:
        raise Refusal(
            f"{source}: expected arrays that the file holds; got {name} of shape {tuple(shape)}, {-room:,} bytes more"
            " than there are"
        )


def names_of(layer):
    """(names of the trainable weights, names of the others) of a layer without nested layers."""
    return LAYERS[layer.kind].weights(layer.config) if layer.kind in LAYERS else ((), ())


def counted(layer, arrays, source):
    """Gives the layer its arrays; raises Refusal where they are too few or too many."""
    expected = sum(map(len, names_of(layer)))
    if len(arrays) != expected:
        raise Refusal(
            f"{source}: expected {expected} arrays of weights of {layer.name} ({layer.kind}); got {len(arrays)}"
        )
    layer.arrays = [np.asarray(each) for each in arrays]
    if any(each.dtype.kind not in "fiu" and each.dtype.name != "bfloat16" for each in layer.arrays):
        raise Refusal(f"{source}: expected numbers as weights of {layer.name}; got other values")


def from_keras_file(net, group, source):
    """Of model.weights.h5 in a .keras file: GROUP/layers/CLASS_NUMBER/vars/0, 1, ..."""
    inner = next((group[name] for name in ("layers", "_layer_checkpoint_dependencies") if name in group), {})
    used = {}
    for layer in net.layers:
        if layer.kind.startswith("op:") and layer.kind[3:4].isupper():
            continue  # Keras 3 counts layers alone
        name = snake_case("TFOpLambda" if layer.kind.startswith("op:") else layer.kind)
        used[name] = used.get(name, -1) + 1
        name = f"{name}_{used[name]}" if used[name] else name
        if layer.layers is not None:
            from_keras_file(layer, inner.get(name, {}), source)
        elif any(names_of(layer)):
            stored = inner[name]["vars"] if name in inner and "vars" in inner[name] else {}
            counted(layer, [stored[key][()] for key in sorted(stored, key=int)], source)


def snake_case(name):
    """Keras' name of a class in files: "SeparableConv2D" -> "separable_conv2d"."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def from_h5_file(net, group, source):
    """Of an .h5 file: for each layer the names of its arrays in the attribute weight_names."""
    for layer in net.layers:
        leaves = layer.leaves() if layer.layers is not None else [layer]
        stored = group.get(layer.name)
        names = [] if stored is None else _listed(stored.attrs, "weight_names")
        arrays = [stored[name][()] for name in names]
        expected = sum(len(part) for leaf in leaves for part in names_of(leaf))
        if len(arrays) != expected:
            raise Refusal(f"{source}: expected {expected} arrays of weights of {layer.name}; got {len(arrays)}")
        rest, found = iter(arrays), {id(leaf): [] for leaf in leaves}
        for first in (True, False):  # the trainable weights of all leaves, then the others, with those of frozen ones
            for leaf in leaves:
                trainable, others = names_of(leaf)
                now = trainable if leaf.trainable else ()
                part = now if first else (*(() if leaf.trainable else trainable), *others)
                found[id(leaf)] += [next(rest) for _ in part]
        for leaf in leaves:
            counted(leaf, found[id(leaf)], source)


def _listed(attributes, name):
    """A list of names; HDF5 splits a long one into name0, name1, ..."""
    parts = [attributes[name]] if name in attributes else []
    while f"{name}{len(parts)}" in attributes:
        parts.append(attributes[f"{name}{len(parts)}"])
    return [each.decode() if isinstance(each, bytes) else each for part in parts for each in part]


def from_saved_model(net, folder, source):
    """Of the checkpoint in a SavedModel of Keras 2, whose graph of objects has children layer_with_weights-NUMBER."""
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    room = sum(part.stat().st_size for part in (folder / "variables").glob("variables.data-*"))
    types = reader.get_variable_to_dtype_map()
    for name, shape in reader.get_variable_to_shape_map().items():
        if types[name] != tf.string:
            room -= math.prod(shape) * types[name].size
            check_room(room, name, shape, source)
    graph = TrackableObjectGraph.FromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    _from_objects(net, graph.nodes, 0, reader, source)


def _from_objects(net, nodes, at, reader, source):
    children, number = _children(nodes, at), 0
    for layer in net.layers:
        leaves = layer.leaves() if layer.layers is not None else [layer]
        if not any(any(names_of(leaf)) for leaf in leaves):
            continue
        place = children.get(f"layer_with_weights-{number}")
        if place is None:
            raise Refusal(f"{source}: expected weights of {layer.name}; got none")
        number += 1
        if layer.layers is not None:
            _from_objects(layer, nodes, place, reader, source)
            continue
        own = _children(nodes, place)
        keys = [nodes[own[name]].attributes for part in names_of(layer) for name in part if name in own]
        counted(layer, [reader.get_tensor(key[0].checkpoint_key) for key in keys if key], source)


def _children(nodes, at):
    return {child.local_name: child.node_id for child in nodes[at].children}
