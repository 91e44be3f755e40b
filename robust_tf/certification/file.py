"""Which images a .tflite file provably classifies correctly within eps, on any kernels that may run it."""

import numpy as np
import tensorflow as tf

from robust_tf.certification import floats, integers
from robust_tf.certification.bounds import UNIT
from robust_tf.certification.operations import ends, fitting, refuse
from robust_tf.certification.propagation import propagate
from robust_tf.certification.requantise import error, multiplier
from robust_tf.refusal import Refusal
from robust_tf.tflite.graph import Graph


def certified(path, images, labels, eps, batch_size=200):
    """Which images are classified correctly, in every pixel image of [0, 1] within eps (L-inf), bool [N].

    Args:
      path: a .tflite file of int8 or float32 operations whose last layer is dense; its input and its output may be
        int8, uint8 or float32.
      images, labels: float32 [N, H, W, C] in [0, 1] and int [N].
      eps: radius in pixels of [0, 1].

    Raises Refusal for a file that it does not know.
    """
    prove = prover(Graph(path))
    proven = []
    for start in range(0, len(images), batch_size):
        proven.append(prove(images[start : start + batch_size], labels[start : start + batch_size], eps))
    return np.concatenate(proven)


def check_ends(graph, path, image_shape, classes):
    """Raises Refusal where a file has several inputs or outputs, or other images or classes."""
    for what, found, shape in (("input", graph.inputs, image_shape), ("output", graph.outputs, (classes,))):
        expected = [1, *shape]
        if len(found) != 1:
            raise Refusal(f"{path}: expected one {what}, of shape {expected}; got {len(found)}")
        if graph.shape(found[0]) != expected:
            raise Refusal(f"{path}: expected an {what} of shape {expected}; got {graph.shape(found[0])}")


def stored(graph, x, eps, scaling=None):
    """The file's inputs for x - eps and x + eps, clipped to [0, 1], float64.

    scaling: None or a `scaling.Scaling`, what a program computes from pixels, in float32, before it calls the file. For
    an integer input: round(x / scale) + zero point, in the range of its type. The inputs between the two contain that
    of every image within eps, as rounding is monotone.
    """
    (tensor,) = graph.inputs
    low, high = np.maximum(np.float64(x) - eps, 0), np.minimum(np.float64(x) + eps, 1)
    if scaling:
        error = 4 * UNIT * (np.abs(scaling.scale).max() + np.abs(scaling.offset).max())
        low, high = scaling.of(low) - error, scaling.of(high) + error
    outward = np.nextafter(np.float32(low), np.float32(-np.inf)), np.nextafter(np.float32(high), np.float32(np.inf))
    kind = graph.type(tensor)
    if kind == "FLOAT32":
        return tuple(side.astype(np.float64) for side in outward)
    if kind not in integers.RANGES:
        raise Refusal(f"expected an input of int8, uint8 or float32; got {kind}")
    scale, zero_point = integers.scale_of(graph, tensor)
    inputs = (np.clip(np.rint(side / scale) + zero_point, *integers.RANGES[kind]) for side in outward)
    return tuple(side.astype(np.float64) for side in inputs)


def scores(graph, x, eps, scaling=None):
    """(low, high) of the file's output over the images within eps of x, as it is stored, float64 [B, K]."""
    bounds = propagate(graph, graph.ops, inputs(graph, x, eps, scaling))
    return tuple(side.numpy() for side in bounds[graph.outputs[0]])


def inputs(graph, x, eps, scaling=None):
    return {graph.inputs[0]: tuple(tf.constant(side) for side in stored(graph, x, eps, scaling))}


def prover(graph, scaling=None):
    """prove(x, y, eps): which images x of label y are proven, bool [B]; scaling: see `stored`."""
    ops, (output,) = list(graph.ops), graph.outputs
    while ops and ops[-1].outputs == (output,) and keeps_order(graph, ops[-1]):
        output = ops.pop().inputs[0]
    *inner, last = ops or [None]
    if last is None or last.kind != "FULLY_CONNECTED" or last.outputs != (output,):
        got = "none" if last is None else last.kind
        got += f" of {graph.type(last.inputs[0])}" * (got == "DEQUANTIZE")
        raise Refusal(f"expected a dense layer at the end, in int8 or float32; got {got}")
    wins = float_wins if graph.type(output) == "FLOAT32" else integer_wins

    def prove(x, y, eps):
        y = np.asarray(y)
        with fitting(last):
            interval = propagate(graph, inner, inputs(graph, x, eps, scaling))[last.inputs[0]]
            flat = tuple(tf.reshape(side, (len(y), -1)).numpy() for side in interval)
            won = wins(graph, last, flat, y)
        won[np.arange(len(y)), y] = True
        return won.all(1)

    return prove


def keeps_order(graph, op):
    """Whether an operation after the scores maps different scores to different ones, in the same order."""
    types = tuple(graph.type(tensor) for tensor in (*op.inputs, *op.outputs))
    if op.kind == "DEQUANTIZE":
        return types == ("INT8", "FLOAT32")
    if op.kind != "QUANTIZE" or types != ("INT8", "UINT8"):
        return False
    (scale, zero), (other, other_zero) = (integers.scale_of(graph, end) for end in (*op.inputs, *op.outputs))
    return scale == other and other_zero - zero == 128


def integer_wins(graph, op, interval, y):
    """Whether the score of y is above each other one, bool [B, K], in stored integers.

    With a = q - zero_point in the input of the last layer and r_j = M_j (W_j a + b_j), every kernel stores
    n_j = round(r_j) within 1/2 + t_j of r_j. So n_y > n_j if the least r_y - r_j, bounded jointly over a, exceeds
    1 + t_y + t_j. Clipping keeps the order if n_j is below the largest stored value and n_y above the least one.
    Otherwise the scores' own intervals decide.
    """
    W, bias = integers.kernel_and_bias(graph, op)
    M = multiplier(*integers.scales(graph, op)) * np.ones(len(W))  # [K]
    _, zero_point = integers.scale_of(graph, op.inputs[0])
    (_, least), (most, _) = integers.output_range(graph, op)  # beyond both no kernel clips
    rows, offsets = M[:, None] * W, M * bias
    a = [side - zero_point for side in interval]
    largest = np.maximum(np.abs(a[0]), np.abs(a[1])) @ np.abs(rows).T + np.abs(offsets)  # |r_j|, [B, K]
    slack = error(M, largest)  # t_j; far above the rounding errors of float64
    low, high = (side.numpy() for side in propagate(graph, [op], {op.inputs[0]: interval})[op.outputs[0]])
    own = np.arange(len(y)), y
    ahead = differences(rows, offsets, a, y) > 1 + slack + slack[own][:, None]
    jointly = ahead & (high < most) & (low[own] > least)[:, None]
    return jointly | (low[own][:, None] > high)


def float_wins(graph, op, interval, y):
    """Whether the score of y is above each other one, bool [B, K], in float32.

    W_y a + b_y - W_j a - b_j is bounded jointly over a; both scores may be off by their rounding, as in floats.py.
    """
    if ends(op) != (None, None):
        refuse(op, "with an activation at the end")
    W, bias = floats.kernel_and_bias(graph, op)
    slack = floats.affine(graph, op, interval)[2].numpy()
    own = np.arange(len(y)), y
    return differences(W, bias, interval, y) > slack + slack[own][:, None]


def differences(W, bias, interval, y):
    """The least W_y a + b_y - W_j a - b_j over a in the interval [B, D], for each j: [B, K]."""
    low, high = interval
    centre, radius = (low + high) / 2, (high - low) / 2
    found, bias = np.empty((len(y), len(W))), bias * np.ones(len(W))
    for own in np.unique(y):
        rows, chosen = W[own] - W, y == own
        found[chosen] = centre[chosen] @ rows.T - radius[chosen] @ np.abs(rows).T + bias[own] - bias
    return found
