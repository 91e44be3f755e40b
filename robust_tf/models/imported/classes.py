"""The last layer of an imported net: logits in place of probabilities, two classes in place of one logit, the order of
the classes, and a new layer for other classes.

Each function returns new steps; the steps that it gets stay as they are.
"""

import copy
import dataclasses

import numpy as np

from robust_tf.models.imported.graph import At
from robust_tf.models.imported.layers import Unsupported, activation_name
from robust_tf.models.imported.operations import PROBABILITIES
from robust_tf.refusal import Refusal

# Layers that may follow the last kernel: they keep the channels apart, and zeros zero.
AFTER = ("Flatten", "Reshape", "GlobalAveragePooling2D", "Identity", "Dropout")


def without_probabilities(source):
    """(Source whose net gives logits, "softmax" or "sigmoid" that was taken off, "" for none)."""
    steps, output = list(source.steps), source.output
    at = output
    while at.step >= 0:
        step = steps[at.step]
        kind, config = step.layer.kind, step.layer.config
        if kind in PROBABILITIES and (config | step.kwargs).get("axis") in (None, -1, 1):
            return _around(source, at), PROBABILITIES[kind]
        head = _activation(step, source) if kind in ("Activation", "Dense", "Conv2D") else ""
        if head in PROBABILITIES.values():
            if kind == "Activation":
                return _around(source, at), head
            steps[at.step] = _changed(step, activation="linear")
            return source._replace(steps=steps), head
        if kind not in AFTER:
            break
        at = step.args[0]
    return source, ""


def _activation(step, source):
    try:
        return activation_name(step.layer.config)
    except Unsupported as error:
        raise Refusal(
            f"{source.path}: expected layers that can be converted; got {step.layer.name} ({step.layer.kind}) with"
            f" {error}"
        ) from None


def _around(source, at):
    """The Source without the layer at `at`, whose input replaces its output."""
    before = source.steps[at.step].args[0]

    def moved(values):
        if isinstance(values, At):
            values = before if values == at else values
            return At(values.step - (values.step > at.step))
        if isinstance(values, dict):
            return {name: moved(each) for name, each in values.items()}
        return [moved(each) for each in values] if isinstance(values, list) else values

    rest = [step for number, step in enumerate(source.steps) if number != at.step]
    steps = [dataclasses.replace(step, args=moved(step.args), kwargs=moved(step.kwargs)) for step in rest]
    return source._replace(steps=steps, output=moved(source.output))


def _changed(step, arrays="same", **config):
    layer = copy.copy(step.layer)
    layer.config = {**layer.config, **config}
    if arrays != "same":
        layer.arrays = arrays
    return dataclasses.replace(step, layer=layer)


def last_kernel(source):
    """Number of the step with the last kernel, a Dense or Conv2D layer, whose outputs are the logits."""
    at = source.output
    while at.step >= 0 and source.steps[at.step].layer.kind in AFTER:
        at = source.steps[at.step].args[0]
    step = source.steps[at.step] if at.step >= 0 else None
    if step is None or step.layer.kind not in ("Dense", "Conv2D") or _activation(step, source) != "linear":
        what = f"{step.name} ({step.layer.kind})" if step else "none"
        raise Refusal(f"{source.path}: expected a dense or convolution layer that gives the logits; got {what}")
    return at.step


def classes(source):
    """The number of the net's outputs."""
    return int(source.steps[last_kernel(source)].layer.arrays[0].shape[-1])


def _with_last(source, arrays, units):
    number = last_kernel(source)
    step = source.steps[number]
    steps = list(source.steps)
    steps[number] = _changed(step, arrays, **{"units" if step.layer.kind == "Dense" else "filters": units})
    for after in range(number + 1, len(steps)):  # a shape that names the old number of classes
        if steps[after].layer.kind == "Reshape":
            steps[after] = _changed(steps[after], target_shape=[-1])
    return source._replace(steps=steps)


def two_classes(source):
    """One logit z becomes the logits 0 and z: softmax(0, z) = (1 - sigmoid(z), sigmoid(z))."""
    arrays = source.steps[last_kernel(source)].layer.arrays
    return _with_last(source, [np.concatenate([np.zeros_like(each), each], -1) for each in arrays], 2)


def in_order(source, places):
    """The outputs with the indices `places`, in that order."""
    arrays = source.steps[last_kernel(source)].layer.arrays
    return _with_last(source, [each[..., places] for each in arrays], len(places))


def with_new_last_layer(source, units):
    """The last layer with `units` outputs and new initial weights."""
    return _with_last(source, None, units)


def places_of(class_names, path):
    """Indices of the classes in the lines of a file of names, in the order of the net's outputs; raises Refusal."""
    try:
        with open(path, encoding="utf-8") as file:
            listed = [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"--labels={path}: expected a text file with one class in each line; got {error}") from None
    if len(set(listed)) != len(listed):
        raise Refusal(f"--labels={path}: expected each class once; got one twice")
    missing = [name for name in class_names if name not in listed]
    if missing or len(listed) != len(class_names):
        what = f"no {missing[0]}" if missing else f"{len(listed)} names"
        raise Refusal(f"--labels={path}: expected the data's classes, {', '.join(class_names)}; got {what}")
    return [listed.index(name) for name in class_names], listed
