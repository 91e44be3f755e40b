"""Steps of a net -> a Keras 2 net of logits."""

import tensorflow as tf
import tf_keras as keras

from robust_tf.models.imported.graph import At
from robust_tf.models.imported.layers import LAYERS, Unsupported, constant, left_out
from robust_tf.models.imported.operations import AFFINE, FUNCTIONS, MERGES, OPERATIONS
from robust_tf.refusal import Refusal

# What Keras raises for configurations that do not fit together, or are too large for the memory.
FAILURES = (ValueError, TypeError, KeyError, IndexError, AttributeError, MemoryError, tf.errors.OpError)


def check_known(steps, source):
    """Raises Refusal for a layer that this project does not convert."""
    for step in steps:
        kind = step.layer.kind
        if not any(kind in known for known in (LAYERS, FUNCTIONS, OPERATIONS)):
            raise Refusal(f"{source}: expected layers that can be converted; got {step.layer.name} ({named(kind)})")
        if step.trains and LAYERS[kind].make is not left_out:
            raise Refusal(f"{source}: expected layers in inference mode; got {step.layer.name} with training=True")


def named(kind):
    """The kind of a layer or an operation, for messages."""
    return f"the operation {kind[3:]}" if kind.startswith("op:") else kind


def converted(source, image_shape, first=()):
    """The Keras 2 net of a `files.Source`, with its arrays; a step whose arrays are None keeps its initial weights.

    Args:
      image_shape: (height, width, channels).
      first: Keras layers before those of the source.
    """
    x = image = keras.Input(image_shape, name="image")
    for layer in first:
        x = layer(x)
    values = {-1: x}
    for number, step in enumerate(source.steps):
        try:
            values[number] = _called(step, values, source.version)
        except Unsupported as error:
            raise _refusal(source.path, step, error) from None
        except FAILURES as error:
            raise _refusal(source.path, step, " ".join(str(error).split())[:200]) from error
    return keras.Model(image, values[source.output.step], name="imported")


def _refusal(source, step, reason):
    what = f"{step.layer.name} ({named(step.layer.kind)})"
    return Refusal(f"{source}: expected layers that can be converted; got {what} with {reason}")


def _called(step, values, version):
    kind = step.layer.kind
    if kind in OPERATIONS:
        return _operated(step, values)
    (x,) = _tensors(step.args, values)
    arrays = step.layer.arrays
    make = (LAYERS | FUNCTIONS)[kind].make
    for layer, own in make(step.name, step.layer.config | step.kwargs, arrays or [], version):
        layer.trainable = step.layer.trainable
        if own:
            check_shape(layer, own[0], x)
        fixed = step.inference and isinstance(layer, keras.layers.BatchNormalization | keras.layers.Dropout)
        x = layer(x, training=False) if fixed else layer(x)
        if arrays is not None and own:
            layer.set_weights(own)
    return x


def check_shape(layer, array, x):
    """Raises Unsupported where the first array of a layer has another shape than its configuration says, which may need
    more memory than there is: before the layer makes weights for the input `x`."""
    axes = getattr(layer, "axis", -1)
    C = x.shape[-1]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        shape = (*layer.kernel_size, C, layer.depth_multiplier)
    elif isinstance(layer, keras.layers.Conv2D):
        shape = (*layer.kernel_size, C // layer.groups, layer.filters)
    elif isinstance(layer, keras.layers.Dense):
        shape = (C, layer.units)
    else:
        shape = tuple(x.shape[axis] for axis in (axes if isinstance(axes, list | tuple) else [axes]))
        array = array.reshape([size for size in array.shape if size != 1] or 1)
    if array.shape != shape:
        raise Unsupported(f"weights of shape {array.shape}, where its configuration asks for {shape}")


def _operated(step, values):
    """An operation with a constant as a Rescaling, of two tensors as a merging layer."""
    operation, operands = OPERATIONS[step.layer.kind], [*step.args, *step.kwargs.values()]
    if len(operands) != 2:
        raise Unsupported(f"{len(operands)} operands")
    are_tensors = [isinstance(each, At) for each in operands]
    if all(are_tensors):
        if operation not in MERGES:
            raise Unsupported("two tensors")
        return MERGES[operation](name=step.name)(_tensors(operands, values))
    form = f"x {operation} c" if are_tensors[0] else f"c {operation} x"
    if form not in AFFINE:
        raise Unsupported("a tensor as the divisor")
    x, c = operands if are_tensors[0] else reversed(operands)
    scale, offset = AFFINE[form](constant(c))
    return keras.layers.Rescaling(scale, offset, name=step.name)(values[x.step])


def _tensors(places, values):
    """Tensors at the places of a call's arguments."""
    return [_tensors(at, values) if isinstance(at, list) else values[at.step] for at in places]
