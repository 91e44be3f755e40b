"""Which layers of a .tflite file run in sparse kernels on an ARM device, which do not, and what would change that.

lint() applies the rules of the runtimes to the graph in the file:

dense layers   A weight matrix that is stored in sparse form, without a DENSIFY operation, runs in the runtime's own
               sparse kernel on any processor. The converter stores it so if its zeros form blocks of 4 inputs (16 for
               int8), or if few enough weights are left.
convolutions   XNNPACK on ARM runs 1x1 convolutions sparse inside a cluster of float layers that it can keep in NCHW.
               The cluster starts with a 3x3 convolution of stride 2 on three channels with explicit padding. It may
               contain 1x1 convolutions, 3x3 and 5x5 depthwise convolutions, sums, products and element-wise layers. It
               ends with the mean over the image. More than two thirds of its 1x1 weights must be zero, and the file
               must store them in sparse form.
"""

import numpy as np
from rich.table import Table

from robust_tf.terminal import screen
from robust_tf.tflite.graph import Graph, schema

MAX_NONZERO = 1 / 3  # fraction of the weights of a cluster's 1x1 convolutions
FLOATS = ("FLOAT32", "FLOAT16")
ELEMENTWISE = ("ABS", "CEIL", "ELU", "FLOOR", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG", "RELU", "RELU6", "SQUARE")
INTEGERS = "int8 convolutions never run sparse: use --formats=sparse, which is float"
VALID = schema.Padding.VALID


def lint(path):
    """Checks the layers of the file that have a kernel.

    Returns:
      list of dicts: layer, kind, zeros (fraction), sparse (whether it runs in a sparse kernel on ARM), why (the rules
      that it breaks, each with its fix; empty if it runs sparse).

    Raises Refusal if `path` is not a .tflite file.
    """
    graph = Graph(path)
    obstacles, members = cluster(graph)
    rows = []
    for op in graph.ops:
        if op.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        nonzero, total = graph.weight_counts(op.inputs[1])
        if op.kind == "FULLY_CONNECTED":
            why = dense_obstacles(graph, op)
        elif op.kind == "DEPTHWISE_CONV_2D":
            why = ["depthwise kernels have no sparse form"]
        elif graph.type(op.inputs[0]) not in FLOATS:
            why = [INTEGERS]
        elif kernel_size(graph, op) != (1, 1):
            why = [f"its kernel is {as_text(kernel_size(graph, op))}: only 1x1 convolutions run sparse"]
        else:
            why = [] if op in members and not obstacles else obstacles or ["it is outside the cluster of float layers"]
        zeros = 1 - nonzero / total
        rows.append({"layer": graph.name(op), "kind": op.kind, "zeros": zeros, "sparse": not why, "why": why})
    return rows


def dense_obstacles(graph, op):
    tensor, densified = graph.stored(op.inputs[1])
    if graph.tensors[tensor].sparsity is None:
        return ["its kernel is stored dense: prune it in blocks (--projection=block) and use --formats=sparse"]
    if densified:
        return ["its zeros are scattered, so the runtime makes it dense: prune it in blocks (--projection=block)"]
    return []


def kernel_size(graph, op):
    """(height, width) of a convolution's kernel [out, height, width, in]."""
    return tuple(graph.shape(op.inputs[1])[1:3])


def as_text(size):
    return "x".join(map(str, size))


def cluster(graph):
    """(obstacles, ops) of the cluster that XNNPACK would run in NCHW: the broken rules, and the operations in it."""
    starts = [op for op in graph.ops if op.kind == "CONV_2D" and kernel_size(graph, op) == (3, 3)]
    first = next((op for op in graph.ops if op.kind == "CONV_2D"), None)
    start = next((op for op in starts if not start_obstacles(graph, op)), None)
    if start is None:
        return (["it has no convolutions"] if first is None else start_obstacles(graph, first)), []
    members, inside, closed, obstacles = [start], set(start.outputs), False, []
    for op in graph.ops[graph.ops.index(start) + 1 :]:
        if not inside & set(op.inputs):
            continue
        found = inner_obstacles(graph, op, inside)
        if op.kind == "MEAN" and not found:
            closed = True
            continue
        members.append(op)
        inside |= set(op.outputs)
        if found:
            obstacles += [f"{graph.name(op)} ({op.kind}): {reason}" for reason in found]
            break
    if not closed and not obstacles:
        obstacles.append("the cluster does not end with a mean over the image: use GlobalAveragePooling2D")
    pointwise = [op for op in members if op.kind == "CONV_2D" and kernel_size(graph, op) == (1, 1)]
    nonzero, total = np.sum([graph.weight_counts(op.inputs[1]) for op in pointwise] or [(0, 0)], axis=0)
    if nonzero >= MAX_NONZERO * total:
        zeros = 1 - nonzero / max(total, 1)
        obstacles.append(f"only {zeros:.0%} zeros in the 1x1 weights: prune more than two thirds of them")
    if not any(graph.stored(op.inputs[1])[1] for op in pointwise):
        obstacles.append("its kernels are stored dense: use --formats=sparse")
    return obstacles, members


def start_obstacles(graph, op):
    """The rules that a convolution breaks as the start of a cluster."""
    found, options = [], op.options
    if graph.type(op.inputs[0]) not in FLOATS:
        return [INTEGERS]
    if kernel_size(graph, op) != (3, 3):
        found.append(f"the stem has a {as_text(kernel_size(graph, op))} kernel: make it 3x3")
    if (options.strideH, options.strideW) != (2, 2):
        found.append(f"the stem has stride {options.strideH}: make it 2")
    channels = graph.shape(op.inputs[0])[-1]
    if channels != 3:
        found.append(f"the stem has {channels} input channel{'s' * (channels > 1)}: use images with 3")
    if options.padding != VALID:
        found.append('the stem has SAME padding: use ZeroPadding2D(1) and padding="valid"')
    elif graph.padded_by(op.inputs[0]) != [1, 1, 1, 1]:
        found.append('the stem has no explicit padding of 1: use ZeroPadding2D(1) and padding="valid"')
    return found


def inner_obstacles(graph, op, inside):
    """The rules that an operation breaks inside a cluster, or at its end."""
    found = []
    if any(graph.type(tensor) not in FLOATS for tensor in (op.inputs[0], *op.outputs)):
        return [INTEGERS]
    if op.kind == "CONV_2D":
        if kernel_size(graph, op) != (1, 1):
            found.append(f"its kernel is {as_text(kernel_size(graph, op))}: use only 1x1 and depthwise convolutions")
        if (op.options.strideH, op.options.strideW) != (1, 1):
            found.append("a 1x1 convolution has a stride: move it to the depthwise convolution")
    elif op.kind == "DEPTHWISE_CONV_2D":
        options, size = op.options, kernel_size(graph, op)
        if size not in ((3, 3), (5, 5)):
            found.append(f"its kernel is {as_text(size)}: make it 3x3 or 5x5")
        if options.depthMultiplier != 1:
            found.append("its depth multiplier is not 1")
        strided = (options.strideH, options.strideW) != (1, 1)
        if strided and options.padding != VALID:
            found.append('it has SAME padding and stride 2: use ZeroPadding2D and padding="valid"')
        elif options.padding == VALID and graph.padded_by(op.inputs[0]) != [size[0] // 2] * 4:
            found.append(f"it has no explicit padding of {size[0] // 2}: use ZeroPadding2D before it")
    elif op.kind in ("ADD", "MUL"):
        other = [tensor for tensor in op.inputs if tensor not in inside]
        if any(graph.shape(tensor) not in ([], [1]) for tensor in other):
            found.append("it adds or multiplies a tensor from outside the cluster")
    elif op.kind == "MEAN":
        axes = np.frombuffer(bytes(graph.data(op.inputs[1])), np.int32).tolist()
        if axes != [1, 2]:
            found.append(f"its mean is over axes {axes}: use GlobalAveragePooling2D")
    elif op.kind != "PAD" and op.kind not in ELEMENTWISE:
        found.append("a cluster cannot contain this operation")
    return found


def show(path, rows):
    """Prints the layers as a table, and below it why some layers do not run sparse."""
    table = Table("layer", "kind", "zeros", "sparse on ARM", title=str(path))
    for row in rows:
        verdict = "yes" if row["sparse"] else f"no ({reasons(rows).index(tuple(row['why'])) + 1})"
        table.add_row(row["layer"], row["kind"], f"{row['zeros']:.1%}", verdict)
    console = screen(markup=False)
    console.print(table)
    for number, why in enumerate(reasons(rows), 1):
        console.print(f"({number}) {'; '.join(why)}", highlight=False, soft_wrap=True)


def reasons(rows):
    """The different reasons of all rows, in their order."""
    return list(dict.fromkeys(tuple(row["why"]) for row in rows if row["why"]))
