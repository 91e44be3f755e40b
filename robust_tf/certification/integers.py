"""Intervals of an int8 .tflite file's tensors over sets of images, operation by operation.

An interval is a pair (low, high) of float64 tensors that hold whole numbers, the stored int8 values: float64 adds and
multiplies them without rounding. A rule gets the graph, the operation, the intervals of its variable inputs and
`rounded`, which maps intervals of int32 sums to intervals of outputs: (low, high, kind of the operation, scales).
"""

import numpy as np
import tensorflow as tf

from robust_tf.certification.requantise import INT32, RELATIVE
from robust_tf.refusal import Refusal
from robust_tf.tflite.graph import schema

INT8 = (-128, 127)
TINY = 1e-4  # far above the rounding errors of averages of int8 values in float32
ACTIVATION = {number: name for name, number in vars(schema.ActivationFunctionType).items() if name.isupper()}
PADDING = {schema.Padding.SAME: "SAME", schema.Padding.VALID: "VALID"}


def refuse(op, what):
    raise Refusal(f"expected an operation that the certificate knows; got {op.kind} {what}".rstrip())


def scale_of(graph, tensor):
    """(scale, zero point) of a tensor with one scale."""
    scales, zero_point = graph.quantisation(tensor)
    return scales[0], zero_point


def output_range(graph, op):
    """(smallest, largest) int8 value that the fused activation leaves."""
    scale, zero_point = scale_of(graph, op.outputs[0])
    ends = {"NONE": (None, None), "RELU": (0, None), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}
    name = ACTIVATION[getattr(op.options, "fusedActivationFunction", 0)]
    if name not in ends:
        refuse(op, f"with {name}")
    least, most = ends[name]
    low = INT8[0] if least is None else max(INT8[0], zero_point + round_away(least / scale))
    high = INT8[1] if most is None else min(INT8[1], zero_point + round_away(most / scale))
    return low, high


def round_away(value):
    """The nearest whole number, ties away from zero."""
    return int(np.sign(value) * np.floor(np.abs(np.float32(value)) + np.float32(0.5)))


def sums(graph, op, interval, product):
    """The interval of the int32 sums of a layer, [..., channels]; product(a, kernel) multiplies and adds.

    With inputs a = q - zero_point, and the kernel's positive and negative parts W+ and W-:
    low = W+ a_low + W- a_high + bias, high = W+ a_high + W- a_low + bias.
    """
    _, zero_point = scale_of(graph, op.inputs[0])
    W, bias = kernel_and_bias(graph, op)
    low, high = (side - zero_point for side in interval)
    positive, negative = np.maximum(W, 0), np.minimum(W, 0)
    return (
        product(low, positive) + product(high, negative) + bias,
        product(high, positive) + product(low, negative) + bias,
    )


def kernel_and_bias(graph, op):
    """The kernel as stored and the bias [channels], float64."""
    W = graph.values(op.inputs[1])
    if W is None or graph.type(op.inputs[1]) != "INT8" or graph.quantisation(op.inputs[1])[1] != 0:
        refuse(op, "with a kernel that is not constant int8 with zero point 0")
    bias = graph.values(op.inputs[2]) if len(op.inputs) > 2 and op.inputs[2] >= 0 else np.zeros(1, np.int32)
    if bias.dtype != np.int32:
        refuse(op, "with a bias that is not int32")
    return W.astype(np.float64), bias.astype(np.float64)


def scales(graph, op):
    """(scale of the input, scales of the kernel [channels or 1], scale of the output)."""
    return scale_of(graph, op.inputs[0])[0], graph.quantisation(op.inputs[1])[0], scale_of(graph, op.outputs[0])[0]


def finished(graph, op, interval):
    """Adds the output's zero point and clips to the range of the fused activation."""
    _, zero_point = scale_of(graph, op.outputs[0])
    least, most = output_range(graph, op)
    return tuple(tf.clip_by_value(side + zero_point, least, most) for side in interval)


def layer(graph, op, interval, rounded, product):
    low, high = sums(graph, op, interval, product)
    if max(float(tf.reduce_max(-low)), float(tf.reduce_max(high))) >= INT32:
        refuse(op, "with sums beyond 32 bits, which kernels wrap")
    return finished(graph, op, rounded(low, high, op.kind, *scales(graph, op)))


def convolution(graph, op, inputs, rounded):
    options = op.options
    strides, dilations = [options.strideH, options.strideW], [options.dilationHFactor, options.dilationWFactor]

    def product(a, W):  # W [out, h, w, in]
        if W.shape[-1] != a.shape[-1]:
            refuse(op, "with groups")
        return tf.nn.conv2d(a, W.transpose(1, 2, 3, 0), strides, PADDING[options.padding], dilations=dilations)

    return layer(graph, op, inputs[0], rounded, product)


def depthwise(graph, op, inputs, rounded):
    options = op.options
    strides = [1, options.strideH, options.strideW, 1]
    dilations = [options.dilationHFactor, options.dilationWFactor]

    def product(a, W):  # W [1, h, w, channels * multiplier]
        kernel = W.reshape(*W.shape[1:3], a.shape[-1], -1)
        return tf.nn.depthwise_conv2d(a, kernel, strides, PADDING[options.padding], dilations=dilations)

    return layer(graph, op, inputs[0], rounded, product)


def product_dense(a, W):
    """W [out, in]"""
    return tf.reshape(a, (-1, W.shape[1])) @ W.T


def dense(graph, op, inputs, rounded):
    return layer(graph, op, inputs[0], rounded, product_dense)


def max_pool(graph, op, inputs, rounded):
    same_scale(graph, op)
    options = op.options
    window, strides = [options.filterHeight, options.filterWidth], [options.strideH, options.strideW]
    least, most = output_range(graph, op)
    pooled = (tf.nn.max_pool2d(side, window, strides, PADDING[options.padding]) for side in inputs[0])
    return tuple(tf.clip_by_value(side, least, most) for side in pooled)


def same_scale(graph, op):
    """Refuses an operation whose inputs and output have different scales: it would have to round."""
    known = {scale_of(graph, tensor) for tensor in (*op.inputs, *op.outputs) if graph.type(tensor) == "INT8"}
    if len(known) > 1:
        refuse(op, "between different scales")


def reshape(graph, op, inputs, rounded):
    same_scale(graph, op)
    shape = [-1, *graph.shape(op.outputs[0])[1:]]
    return tuple(tf.reshape(side, shape) for side in inputs[0])


def pad(graph, op, inputs, rounded):
    same_scale(graph, op)
    _, zero_point = scale_of(graph, op.outputs[0])
    amounts = graph.values(op.inputs[1])
    return tuple(tf.pad(side, amounts, constant_values=zero_point) for side in inputs[0])


def concatenation(graph, op, inputs, rounded):
    same_scale(graph, op)
    least, most = output_range(graph, op)
    joined = (tf.concat(sides, op.options.axis) for sides in zip(*inputs))
    return tuple(tf.clip_by_value(side, least, most) for side in joined)


def addition(graph, op, inputs, rounded):
    """r = sum_i s_i (q_i - z_i) / s_out, with errors of at most 2^-11 max_i s_i / s_out.

    The reference kernels round each term to 2^-20 of twice the largest scale, twice at most: 2^-17. XNNPACK multiplies
    by whole numbers of which the largest has 21 bits, each off by at most 1/2, for two terms of at most 255: 2^-12.
    """
    if len(inputs) < len(op.inputs):
        refuse(op, "of a constant")
    out, _ = scale_of(graph, op.outputs[0])
    known = [scale_of(graph, tensor) for tensor in op.inputs]
    low, high = (
        tf.add_n([(side - zero) * (np.float64(scale) / out) for side, (scale, zero) in zip(sides, known)])
        for sides in zip(*inputs)
    )
    slack = 0.5 + 2.0**-11 * max(np.float64(scale) / out for scale, _ in known)
    return finished(graph, op, (tf.math.ceil(low - slack), tf.math.floor(high + slack)))


def mean(graph, op, inputs, rounded):
    """The mean over height and width: a sum of inputs, with the kernel scale 1 / (height * width)."""
    axes = sorted(np.atleast_1d(graph.values(op.inputs[1])).tolist())
    if axes != [1, 2]:
        refuse(op, f"over the axes {axes}")
    (scale, zero_point), (out, _) = scale_of(graph, op.inputs[0]), scale_of(graph, op.outputs[0])
    places = np.prod(graph.shape(op.inputs[0])[1:3])
    totals = (tf.reduce_sum(side - zero_point, (1, 2)) for side in inputs[0])
    low, high = finished(graph, op, rounded(*totals, op.kind, scale, np.array([1 / places], np.float32), out))
    shape = [-1, *graph.shape(op.outputs[0])[1:]]
    return tf.reshape(low, shape), tf.reshape(high, shape)


def average_pool(graph, op, inputs, rounded):
    """A sum, divided by its number of terms and rounded, ties either way."""
    same_scale(graph, op)
    options = op.options
    window, strides = [options.filterHeight, options.filterWidth], [options.strideH, options.strideW]
    low, high = (tf.nn.avg_pool2d(side, window, strides, PADDING[options.padding]) for side in inputs[0])
    least, most = output_range(graph, op)
    ends = tf.math.ceil(low - 0.5 - TINY), tf.math.floor(high + 0.5 + TINY)
    return tuple(tf.clip_by_value(side, least, most) for side in ends)


def quantisation(graph, op, inputs, rounded):
    """From floats, r = x / s_out; from other integers, r = (q - z) s / s_out; then rounded, plus the zero point.

    Kernels divide by s_out or multiply by its float32 inverse: within 2^-21 |r| of it, ties either way.
    """
    out, _ = scale_of(graph, op.outputs[0])
    if graph.type(op.outputs[0]) != "INT8":
        refuse(op, f"to {graph.type(op.outputs[0])}")
    if graph.type(op.inputs[0]) == "FLOAT32":
        low, high = (side / np.float64(out) for side in inputs[0])
        ends = low - 0.5 - RELATIVE * tf.abs(low), high + 0.5 + RELATIVE * tf.abs(high)
        return finished(graph, op, (tf.math.ceil(ends[0]), tf.math.floor(ends[1])))
    scale, zero_point = scale_of(graph, op.inputs[0])
    moved = tuple(side - zero_point for side in inputs[0])
    if scale != out:
        moved = rounded(*moved, op.kind, scale, np.ones(1, np.float32), out)
    return finished(graph, op, moved)


RULES = {
    "QUANTIZE": quantisation,
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise,
    "FULLY_CONNECTED": dense,
    "MAX_POOL_2D": max_pool,
    "RESHAPE": reshape,
    "PAD": pad,
    "CONCATENATION": concatenation,
    "ADD": addition,
    "MEAN": mean,
    "AVERAGE_POOL_2D": average_pool,
}


def propagate(graph, ops, bounds, rounded):
    """Adds the intervals of the outputs of `ops` to bounds {tensor: interval}; raises Refusal for an unknown one."""
    for op in ops:
        if op.kind not in RULES:
            refuse(op, "")
        inputs = [bounds[tensor] for tensor in op.inputs if tensor in bounds]
        bounds[op.outputs[0]] = RULES[op.kind](graph, op, inputs, rounded)
    return bounds
