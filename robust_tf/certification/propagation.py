"""Intervals of all tensors of a .tflite file over sets of images, operation by operation.

The rule of an operation is chosen by the types of its input and output: integers.py, floats.py.
"""

from robust_tf.certification import floats, integers
from robust_tf.certification.operations import fitting, refuse
from robust_tf.certification.requantise import covering


def propagate(graph, ops, bounds, rounded=covering):
    """Adds the intervals of the outputs of `ops` to bounds {tensor: interval}, without those that no operation needs.

    Args:
      graph: tflite.graph.Graph.
      ops: of the graph, in its order.
      bounds: {tensor: (low, high)}, float64 [B, ...].
      rounded: see `integers`.

    Raises Refusal for an unknown operation.
    """
    last_users = {tensor: op for op in graph.ops for tensor in op.inputs}
    for op in ops:
        inputs = [bounds.get(tensor) for tensor in op.inputs]
        if not any(interval is not None for interval in inputs):
            with fitting(op):
                values = graph.values(op.outputs[0])
            if values is None:
                refuse(op, "of a constant")
            continue  # the kernel's decompression, which graph.values follows
        with fitting(op):
            interval = rule(graph, op, inputs)(graph, op, inputs, rounded)
            batch, *shape = graph.shape(op.outputs[0])
        if batch != 1 or list(interval[0].shape[1:]) != shape or len(op.outputs) > 1:
            refuse(op, f"with outputs {[graph.shape(tensor) for tensor in op.outputs]}")
        for tensor in op.inputs:
            if last_users[tensor] is op:
                bounds.pop(tensor, None)
        bounds[op.outputs[0]] = interval
    return bounds


def rule(graph, op, inputs):
    """The rule of an operation whose variable inputs have the intervals `inputs`."""
    source, *others = {graph.type(tensor) for tensor, interval in zip(op.inputs, inputs) if interval is not None}
    types = source, graph.type(op.outputs[0])
    known = {} if others else RULES.get(types, {})
    if op.kind not in known:
        refuse(op, f"from {types[0]} to {types[1]}")
    return known[op.kind]


QUANTISATION = {"QUANTIZE": integers.quantisation}
RULES = {  # by the types of inputs and output
    ("INT8", "INT8"): QUANTISATION | integers.RULES,
    ("FLOAT32", "INT8"): QUANTISATION,
    ("UINT8", "INT8"): QUANTISATION,
    ("INT8", "UINT8"): QUANTISATION,
    ("INT8", "FLOAT32"): {"DEQUANTIZE": floats.dequantisation},
    ("FLOAT32", "FLOAT32"): floats.RULES,
}
