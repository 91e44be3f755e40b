"""Intervals of a .tflite file's float32 tensors over sets of images, with what any kernel may round.

An interval is a pair (low, high) of float64 tensors. The rules have the arguments of those in integers.py, and do not
use `rounded`. A rule computes the exact interval of the operation, then widens it: with u = 2^-24 a sum of
n terms, each a product of two floats, is off by at most

    gamma_n sum |w| |x| + n 2^-126 (2 + max |w| + max |x|),    gamma_n = n u / (1 - n u)

(Higham, Accuracy and Stability of Numerical Algorithms, 3.1). n counts two operations more than there are, which
covers the rounding of our own float64 sums. What is assumed of kernels:

* each operation of the file is computed as such, its sums from its terms: no Winograd or Fourier transforms, no folding
  of one operation's constants into another's
* float32 arithmetic rounds to nearest; sums in any order, in parts, with or without FMA, or in a wider type
* numbers below 2^-126 may become 0, before or after an operation
* weights in float16 become float32 before they are used; computation in float16 is not forced
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

UNIT, FLUSHED, LARGEST = 2.0**-24, 2.0**-126, 2.0**126


def gamma(n):
    return (n + 2) * UNIT / (1 - (n + 2) * UNIT)


def rounding(op, n, magnitude, largest):
    """What n operations may round; magnitude: sum |w| |x|, largest: max |w| + max |x| at most."""
    if not float(tf.reduce_max(magnitude)) + largest < LARGEST:  # NaN too
        refuse(op, "with values beyond float32")
    return gamma(n) * magnitude + (n + 2) * FLUSHED * (2 + largest)


def widened(op, low, high, *sizes):
    margin = rounding(op, *sizes)
    return low - margin, high + margin


def size(interval):
    """The largest absolute values in an interval."""
    return tf.maximum(tf.abs(interval[0]), tf.abs(interval[1]))


def most(*values):
    return sum(float(tf.reduce_max(tf.abs(value))) for value in values)


def activated(op, interval):
    least, most = ends(op)
    low, high = interval
    for end, clip in ((least, tf.maximum), (most, tf.minimum)):
        if end is not None:
            low, high = clip(low, np.float64(end)), clip(high, np.float64(end))
    return low, high


def constant(graph, op, tensor):
    """The constant float32 values of an input, float64."""
    if graph.type(tensor) == "INT8":
        refuse(op, "with int8 weights and float inputs, which kernels quantise by their range in each image")
    values = graph.values(tensor)
    if values is None or values.dtype != np.float32 or not np.isfinite(values).all():
        refuse(op, "with an input that is neither computed nor constant and finite float32")
    return values.astype(np.float64)


def kernel_and_bias(graph, op):
    """The kernel as stored and the bias [channels], float64."""
    has_bias = len(op.inputs) > 2 and op.inputs[2] >= 0
    return constant(graph, op, op.inputs[1]), constant(graph, op, op.inputs[2]) if has_bias else np.zeros(1)


def affine(graph, op, interval):
    """(middle, spread, rounding) of a layer: with centre c and radius r of the input, W c + b and |W| r; then the
    rounding at the magnitude |W| max |a| + |b|."""
    W, bias = kernel_and_bias(graph, op)
    (low, high), product = interval, PRODUCTS[op.kind]
    middle = product(op, (low + high) / 2, W) + bias
    spread = product(op, (high - low) / 2, np.abs(W))
    terms = 1 + int(np.prod(W.shape[1:3] if op.kind == "DEPTHWISE_CONV_2D" else W.shape[1:]))
    magnitude = product(op, size(interval), np.abs(W)) + np.abs(bias)
    return middle, spread, rounding(op, terms, magnitude, most(W, size(interval)))


def layer(graph, op, inputs, rounded):
    middle, spread, margin = affine(graph, op, inputs[0])
    return activated(op, (middle - spread - margin, middle + spread + margin))


def move(graph, op, inputs, rounded):
    sides = zip(*(interval for interval in inputs if interval is not None))
    return activated(op, tuple(MOVES[op.kind](graph, op, list(side), 0.0) for side in sides))


def addition(graph, op, inputs, rounded):
    both = operands(graph, op, inputs, lambda tensor: constant(graph, op, tensor))
    low, high = (one + other for one, other in zip(*both))
    total = sum(map(size, both))
    return activated(op, widened(op, low, high, 1, total, most(total)))


def multiplication(graph, op, inputs, rounded):
    both = operands(graph, op, inputs, lambda tensor: constant(graph, op, tensor))
    products = product_of_intervals(*both)
    return activated(op, widened(op, *products, 1, size(products), most(*map(size, both))))


def mean(graph, op, inputs, rounded):
    """Over height and width; a sum, divided by their product or multiplied by its inverse."""
    axes = sorted(np.atleast_1d(graph.values(op.inputs[1])).tolist())
    if axes != [1, 2]:
        refuse(op, f"over the axes {axes}")
    shape = [-1, *graph.shape(op.outputs[0])[1:]]
    low, high, total = (tf.reshape(tf.reduce_mean(side, (1, 2)), shape) for side in (*inputs[0], size(inputs[0])))
    places = int(np.prod(graph.shape(op.inputs[0])[1:3]))
    return widened(op, low, high, 2 + places, total, places * most(size(inputs[0])))


def average_pool(graph, op, inputs, rounded):
    low, high, total = (tf.nn.avg_pool2d(side, *window(op)) for side in (*inputs[0], size(inputs[0])))
    places = int(np.prod(window(op)[0]))
    return activated(op, widened(op, low, high, 2 + places, total, places * most(size(inputs[0]))))


def rectified(graph, op, inputs, rounded):
    least, greatest = {"RELU": (0, np.inf), "RELU6": (0, 6)}[op.kind]
    return tuple(tf.clip_by_value(side, np.float64(least), np.float64(greatest)) for side in inputs[0])


def dequantisation(graph, op, inputs, rounded):
    """(q - z) s"""
    scales, zero_point = graph.quantisation(op.inputs[0])
    low, high = ((side - zero_point) * np.float64(scales[0]) for side in inputs[0])
    return widened(op, low, high, 2, size((low, high)), most(size(inputs[0]), scales) + abs(zero_point))


RULES = {
    **dict.fromkeys(PRODUCTS, layer),
    **dict.fromkeys(MOVES, move),
    "ADD": addition,
    "MUL": multiplication,
    "MEAN": mean,
    "AVERAGE_POOL_2D": average_pool,
    "RELU": rectified,
    "RELU6": rectified,
}
