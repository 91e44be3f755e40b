"""Which images an int8 .tflite file provably classifies correctly within eps, on any kernels that may run it."""

import numpy as np
import tensorflow as tf

from robust_tf.certification.integers import kernel_and_bias, output_range, propagate, scale_of, scales
from robust_tf.certification.requantise import RELATIVE, covering, multiplier
from robust_tf.refusal import Refusal
from robust_tf.tflite.graph import Graph

UNIT = 1e-6  # far above the rounding errors of float64 sums of this size


def certified(path, images, labels, eps, batch_size=200):
    """Which images are classified correctly, in every pixel image of [0, 1] within eps (L-inf), bool [N].

    Args:
      path: a .tflite file whose inner operations are int8 and whose last layer is dense; its input and its output may
        be int8, uint8 or float32.
      images, labels: float32 [N, H, W, C] in [0, 1] and int [N].
      eps: radius in pixels of [0, 1].

    Raises Refusal for a file that it does not know.
    """
    graph = Graph(path)
    prove = prover(graph)
    proven = []
    for start in range(0, len(images), batch_size):
        x, y = images[start : start + batch_size], labels[start : start + batch_size]
        proven.append(prove(*stored(graph, x, eps), y))
    return np.concatenate(proven)


def stored(graph, x, eps):
    """The file's inputs for x - eps and x + eps, clipped to [0, 1], float64.

    For an integer input: round(x / scale) + zero point, in the range of its type. The inputs between the two contain
    that of every image within eps, as rounding is monotone.
    """
    (tensor,) = graph.inputs
    ends = (np.maximum(np.float64(x) - eps, 0), np.minimum(np.float64(x) + eps, 1))
    outward = (np.nextafter(np.float32(ends[0]), np.float32(-1)), np.nextafter(np.float32(ends[1]), np.float32(2)))
    kind = graph.type(tensor)
    if kind == "FLOAT32":
        return tuple(side.astype(np.float64) for side in outward)
    if kind not in ("INT8", "UINT8"):
        raise Refusal(f"expected an input of int8, uint8 or float32; got {kind}")
    scale, zero_point = scale_of(graph, tensor)
    limits = np.iinfo(np.dtype(kind.lower()))
    stored = (np.clip(np.rint(side / scale) + zero_point, limits.min, limits.max) for side in outward)
    return tuple(side.astype(np.float64) for side in stored)


def prover(graph):
    """prove(low, high, y): which images of label y are proven, from the bounds of the stored input."""
    ops, (output,) = list(graph.ops), graph.outputs
    while ops and ops[-1].outputs[0] == output and keeps_order(graph, ops[-1]):
        output = ops.pop().inputs[0]
    *inner, last = ops or [None]
    if last is None or last.kind != "FULLY_CONNECTED" or last.outputs[0] != output:
        raise Refusal(f"expected a dense layer at the end; got {last.kind if last else 'none'}")

    def prove(low, high, y):
        bounds = {graph.inputs[0]: (tf.constant(low), tf.constant(high))}
        propagate(graph, inner, bounds, covering)
        return wins(graph, last, bounds[last.inputs[0]], bounds_of(graph, last, bounds), y)

    return prove


def keeps_order(graph, op):
    """Whether an operation after the scores maps different scores to different ones, in the same order."""
    if op.kind == "DEQUANTIZE":
        return True
    return op.kind == "QUANTIZE" and scale_of(graph, op.inputs[0])[0] == scale_of(graph, op.outputs[0])[0]


def bounds_of(graph, op, bounds):
    """(low, high) of the stored scores [B, K], each for itself."""
    return tuple(side.numpy() for side in propagate(graph, [op], dict(bounds), covering)[op.outputs[0]])


def wins(graph, op, interval, scores, y):
    """Whether the score of y is above all others, bool [B].

    With a = q - zero_point in the input of the last layer and r_j = M_j (W_j a + b_j), every kernel stores
    n_j = round(r_j) within 1/2 + t_j of r_j. So n_y > n_j if the least r_y - r_j, bounded jointly over a, exceeds
    1 + t_y + t_j. Clipping keeps the order if n_j is below the largest stored value and n_y above the least one.
    Otherwise the scores' own intervals decide.
    """
    W, bias = kernel_and_bias(graph, op)
    M = multiplier(*scales(graph, op)) * np.ones(len(W))  # [K]
    _, zero_point = scale_of(graph, op.inputs[0])
    a_low, a_high = (tf.reshape(side, (-1, W.shape[1])).numpy() - zero_point for side in interval)
    centre, radius = (a_low + a_high) / 2, (a_high - a_low) / 2
    least, most = output_range(graph, op)
    rows, offsets = M[:, None] * W, M * bias
    largest = np.abs(rows) @ np.maximum(np.abs(a_low), np.abs(a_high)).T + np.abs(offsets)[:, None]  # |r_j|, [K, B]
    slack = (np.exp2(np.frexp(M)[1]) + UNIT)[:, None] + RELATIVE * largest  # t_j
    low, high = scores
    proven = np.ones(len(y), bool)
    for i, own in enumerate(y):
        differences = rows[own] - rows  # [K, D]
        margin = differences @ centre[i] - np.abs(differences) @ radius[i] + offsets[own] - offsets
        jointly = (margin > 1 + slack[own, i] + slack[:, i]) & (high[i] < most) & (low[i, own] > least)
        apart = low[i, own] > high[i]
        proven[i] = np.delete(jointly | apart, own).all()
    return proven
