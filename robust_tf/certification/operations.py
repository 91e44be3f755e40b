"""What operations of a .tflite file do to values of any type: products with a kernel, moves, and the checks of both."""

import contextlib

import tensorflow as tf

from robust_tf.refusal import Refusal
from robust_tf.tflite.graph import schema

ACTIVATION = {number: name for name, number in vars(schema.ActivationFunctionType).items() if name.isupper()}
ENDS = {"NONE": (None, None), "RELU": (0, None), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}
PADDING = {schema.Padding.SAME: "SAME", schema.Padding.VALID: "VALID"}


def refuse(op, what):
    raise Refusal(f"expected an operation that the certificate knows; got {op.kind} {what}".rstrip())


@contextlib.contextmanager
def fitting(op):
    """Refuses an operation whose tensors do not fit it, as in a damaged or foreign file."""
    try:
        yield
    except (tf.errors.OpError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        refuse(op, f"that does not fit its tensors: {' '.join(str(error).split())[:200]}")


def ends(op):
    """(least, most) that the fused activation leaves; None where it leaves all."""
    name = ACTIVATION[getattr(op.options, "fusedActivationFunction", 0)]
    if name not in ENDS:
        refuse(op, f"with {name}")
    return ENDS[name]


def window(op):
    """(size, strides, padding) of a pooling operation."""
    options = op.options
    sides = [options.filterHeight, options.filterWidth], [options.strideH, options.strideW]
    return *sides, PADDING[options.padding]


def convolution(op, a, W):
    """W [out, h, w, in]"""
    if W.shape[-1] != a.shape[-1]:
        refuse(op, "with groups")
    options = op.options
    strides, dilations = [options.strideH, options.strideW], [options.dilationHFactor, options.dilationWFactor]
    return tf.nn.conv2d(a, W.transpose(1, 2, 3, 0), strides, PADDING[options.padding], dilations=dilations)


def depthwise(op, a, W):
    """W [1, h, w, channels * multiplier]"""
    options = op.options
    strides, dilations = [1, options.strideH, options.strideW, 1], [options.dilationHFactor, options.dilationWFactor]
    kernel = W.reshape(*W.shape[1:3], a.shape[-1], -1)
    return tf.nn.depthwise_conv2d(a, kernel, strides, PADDING[options.padding], dilations=dilations)


def dense(op, a, W):
    """W [out, in]"""
    if op.options.weightsFormat != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        refuse(op, "with shuffled weights")
    return tf.reshape(a, (-1, W.shape[1])) @ W.T


# (op, a [B, ...], kernel as stored) -> [B, ..., channels]
PRODUCTS = {"CONV_2D": convolution, "DEPTHWISE_CONV_2D": depthwise, "FULLY_CONNECTED": dense}


def reshape(graph, op, values, fill):
    return tf.reshape(values[0], [-1, *graph.shape(op.outputs[0])[1:]])


def transpose(graph, op, values, fill):
    axes = graph.values(op.inputs[1]).tolist()
    if axes[0] != 0:
        refuse(op, "of the batch")
    return tf.transpose(values[0], axes)


def strided_slice(graph, op, values, fill):
    """The first axis is the batch, of one image in the file."""
    begin, end, strides = (graph.values(tensor) for tensor in op.inputs[1:])
    options = op.options
    if options.shrinkAxisMask or options.newAxisMask or options.ellipsisMask or strides[0] != 1:
        refuse(op, "that changes the number of axes")
    return tf.strided_slice(
        values[0], begin, end, strides, begin_mask=options.beginMask | 1, end_mask=options.endMask | 1
    )


def pad(graph, op, values, fill):
    return tf.pad(values[0], graph.values(op.inputs[1]), constant_values=fill)


def concatenation(graph, op, values, fill):
    return tf.concat(values, op.options.axis)


def max_pool(graph, op, values, fill):
    return tf.nn.max_pool2d(values[0], *window(op))


# Operations whose outputs are inputs, or their maximum: (graph, op, variable inputs, fill of paddings) -> output
MOVES = {
    "RESHAPE": reshape,
    "TRANSPOSE": transpose,
    "STRIDED_SLICE": strided_slice,
    "PAD": pad,
    "CONCATENATION": concatenation,
    "MAX_POOL_2D": max_pool,
}


def operands(graph, op, inputs, constant):
    """The intervals of all inputs: of a constant input c, (c, c) with c = constant(tensor)."""
    found = []
    for tensor, interval in zip(op.inputs, inputs):
        if interval is None:
            if graph.values(tensor) is None:
                refuse(op, "of an input that is neither computed nor constant")
            value = tf.constant(constant(tensor), tf.float64)
            interval = value, value
        found.append(interval)
    return found


def product_of_intervals(one, other):
    """The interval of a b over a in one and b in the other."""
    corners = tf.stack([a * b for a in one for b in other])
    return tf.reduce_min(corners, 0), tf.reduce_max(corners, 0)
