"""Intervals of an int8 .tflite file's tensors over sets of images: the rules of its integer operations.

An interval is a pair (low, high) of float64 tensors that hold whole numbers, the stored int8 values: float64 adds and
multiplies them without rounding. A rule gets the graph, the operation, the intervals of its inputs (None for a
constant) and `rounded`, which maps intervals of int32 sums to intervals of outputs: (low, high, kind of the operation,
scales).
"""

import numpy as np
import tensorflow as tf

from robust_tf.certification.operations import (
    MOVES,
    PRODUCTS,
    ends,
    operands,
    product_of_intervals,
    refuse,
    window,
)
from robust_tf.certification.requantise import INT32, RELATIVE, multiplier

RANGES = {"INT8": (-128, 127), "UINT8": (0, 255)}
LARGEST_RATIO = 2.0**7  # of scale_in / scale_out in a sum: below it all families agree
TINY = 1e-4  # far above the rounding errors of averages of int8 values in float32


def scale_of(graph, tensor):
    """(scale, zero point) of a tensor with one scale."""
    scales, zero_point = graph.quantisation(tensor)
    return scales[0], zero_point


def output_range(graph, op):
    """((a, a'), (b, b')): any kernel clips to [least, most] with least from a to a' and most from b to b'.

    They are those of the type, or the ends of the fused activation divided by the scale and rounded, ties either way.
    """
    scale, zero_point = scale_of(graph, op.outputs[0])
    (low, high), (least, most) = RANGES[graph.type(op.outputs[0])], ends(op)
    lows = (low, low) if least is None else tuple(max(low, zero_point + each) for each in nearest(least / scale))
    highs = (high, high) if most is None else tuple(min(high, zero_point + each) for each in nearest(most / scale))
    return lows, highs


def nearest(value):
    """(least, most) whole number to which a kernel may round `value`, which it knows to 2^-21 of it."""
    error = RELATIVE * abs(value)
    return int(np.ceil(value - 0.5 - error)), int(np.floor(value + 0.5 + error))


def clipped(graph, op, interval):
    """The interval, clipped to the range of the fused activation; see `output_range`."""
    lows, highs = output_range(graph, op)
    return tuple(tf.clip_by_value(side, *ends) for side, *ends in zip(interval, lows, highs))


def requantised(op, rounded, interval, *scales):
    """`rounded` of int32 sums; refuses what kernels wrap: sums, or sums times 2^e where M >= 1 has the exponent e."""
    low, high = interval
    left = np.exp2(np.maximum(np.frexp(multiplier(*scales))[1], 0))
    if max(float(tf.reduce_max(-low * left)), float(tf.reduce_max(high * left))) >= INT32:
        refuse(op, "with sums beyond 32 bits, which kernels wrap")
    return rounded(low, high, op.kind, *scales)


def sums(graph, op, interval):
    """The interval of the int32 sums of a layer, [..., channels].

    With inputs a = q - zero_point, and the kernel's positive and negative parts W+ and W-:
    low = W+ a_low + W- a_high + bias, high = W+ a_high + W- a_low + bias.
    """
    _, zero_point = scale_of(graph, op.inputs[0])
    W, bias = kernel_and_bias(graph, op)
    low, high = (side - zero_point for side in interval)
    positive, negative, product = np.maximum(W, 0), np.minimum(W, 0), PRODUCTS[op.kind]
    return (
        product(op, low, positive) + product(op, high, negative) + bias,
        product(op, high, positive) + product(op, low, negative) + bias,
    )


def kernel_and_bias(graph, op):
    """The kernel as stored and the bias [channels], float64.

    Kernels on ARM add pairs of products in 16 bits, which holds for weights from -127, as the format asks for.
    """
    W = graph.values(op.inputs[1])
    if W is None or graph.type(op.inputs[1]) != "INT8" or graph.quantisation(op.inputs[1])[1] != 0 or W.min() < -127:
        refuse(op, "with a kernel that is not constant, of int8 from -127 to 127 with zero point 0")
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
    return clipped(graph, op, [side + zero_point for side in interval])


def layer(graph, op, inputs, rounded):
    return finished(graph, op, requantised(op, rounded, sums(graph, op, inputs[0]), *scales(graph, op)))


def same_scale(graph, op):
    """Refuses an operation whose inputs and output have different scales: it would have to round."""
    known = {scale_of(graph, tensor) for tensor in (*op.inputs, *op.outputs) if graph.type(tensor) == "INT8"}
    if len(known) > 1:
        refuse(op, "between different scales")


def move(graph, op, inputs, rounded):
    same_scale(graph, op)
    _, zero_point = scale_of(graph, op.outputs[0])
    sides = zip(*(interval for interval in inputs if interval is not None))
    return clipped(graph, op, [MOVES[op.kind](graph, op, list(side), zero_point) for side in sides])


def addition(graph, op, inputs, rounded):
    """r = sum_i s_i (q_i - z_i) / s_out, with errors of at most 2^-11 max_i s_i / s_out.

    The reference kernels round each term to 2^-20 of twice the largest scale, twice at most: 2^-17. XNNPACK multiplies
    by whole numbers of which the largest has 21 bits, each off by at most 1/2, for two terms of at most 255: 2^-12.
    """
    out, _ = scale_of(graph, op.outputs[0])
    known = [scale_of(graph, tensor) for tensor in op.inputs]
    if max(scale for scale, _ in known) >= LARGEST_RATIO * out:
        refuse(op, f"of an input whose scale is {LARGEST_RATIO:g} times the output's or more")
    low, high = (
        sum((side - zero) * (np.float64(scale) / out) for side, (scale, zero) in zip(sides, known))
        for sides in zip(*operands(graph, op, inputs, graph.values))
    )
    slack = 0.5 + 2.0**-11 * max(np.float64(scale) / out for scale, _ in known)
    return finished(graph, op, (tf.math.ceil(low - slack), tf.math.floor(high + slack)))


def multiplication(graph, op, inputs, rounded):
    """Products of at most 255^2 of two inputs, with the scale of the second as the kernel's."""
    (scale, zero), (other, other_zero) = (scale_of(graph, tensor) for tensor in op.inputs)
    (a_low, a_high), (b_low, b_high) = operands(graph, op, inputs, graph.values)
    products = product_of_intervals((a_low - zero, a_high - zero), (b_low - other_zero, b_high - other_zero))
    out, _ = scale_of(graph, op.outputs[0])
    return finished(graph, op, requantised(op, rounded, products, scale, np.array([other]), out))


def mean(graph, op, inputs, rounded):
    """The mean over height and width: a sum of inputs, with the kernel scale 1 / (height * width).

    Where the output keeps four axes, some kernels round the sum of stored values, and apart from it the zero point's
    part z s_in / s_out.
    """
    axes = sorted(np.atleast_1d(graph.values(op.inputs[1])).tolist())
    if axes != [1, 2]:
        refuse(op, f"over the axes {axes}")
    (scale, zero_point), (out, _) = scale_of(graph, op.inputs[0]), scale_of(graph, op.outputs[0])
    places = np.prod(graph.shape(op.inputs[0])[1:3])
    scales = scale, np.array([1 / places], np.float32), out
    totals = [tf.reduce_sum(side - zero_point, (1, 2)) for side in inputs[0]]
    low, high = requantised(op, rounded, totals, *scales)
    if len(graph.shape(op.outputs[0])) == 4:
        stored = requantised(op, rounded, [total + zero_point * places for total in totals], *scales)
        least, most = nearest(zero_point * np.float64(scale) / out)
        low, high = tf.minimum(low, stored[0] - most), tf.maximum(high, stored[1] - least)
    low, high = finished(graph, op, (low, high))
    shape = [-1, *graph.shape(op.outputs[0])[1:]]
    return tf.reshape(low, shape), tf.reshape(high, shape)


def average_pool(graph, op, inputs, rounded):
    """A sum, divided by its number of terms and rounded, ties either way."""
    same_scale(graph, op)
    low, high = (tf.nn.avg_pool2d(side, *window(op)) for side in inputs[0])
    return clipped(graph, op, (tf.math.ceil(low - 0.5 - TINY), tf.math.floor(high + 0.5 + TINY)))


def quantisation(graph, op, inputs, rounded):
    """From floats, r = x / s_out; from other integers, r = (q - z) s / s_out; then rounded, plus the zero point.

    Kernels divide by s_out or multiply by its float32 inverse: within 2^-21 |r| of it, ties either way.
    """
    out, _ = scale_of(graph, op.outputs[0])
    if graph.type(op.inputs[0]) == "FLOAT32":
        low, high = (side / np.float64(out) for side in inputs[0])
        outward = low - 0.5 - RELATIVE * tf.abs(low), high + 0.5 + RELATIVE * tf.abs(high)
        return finished(graph, op, (tf.math.ceil(outward[0]), tf.math.floor(outward[1])))
    scale, zero_point = scale_of(graph, op.inputs[0])
    moved = tuple(side - zero_point for side in inputs[0])
    if scale != out:
        moved = requantised(op, rounded, moved, scale, np.ones(1, np.float32), out)
    return finished(graph, op, moved)


def rectified(graph, op, inputs, rounded):
    _, zero_point = scale_of(graph, op.outputs[0])
    return tuple(tf.maximum(side, zero_point) for side in quantisation(graph, op, inputs, rounded))


RULES = {
    **dict.fromkeys(PRODUCTS, layer),
    **dict.fromkeys(MOVES, move),
    "ADD": addition,
    "MUL": multiplication,
    "MEAN": mean,
    "AVERAGE_POOL_2D": average_pool,
    "RELU": rectified,
}
