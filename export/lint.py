"""Which layers of a .tflite file run in sparse kernels on an ARM device, which do not, and what would change that.

Read from the graph in the file, by the rules of the runtimes:

dense layers   a kernel stored in sparse form without DENSIFY before it runs in the runtime's own sparse kernel, on any
               processor: blocks of 4 inputs (16 for int8), or few enough single weights
convolutions   XNNPACK (on ARM) runs 1x1 convolutions sparse, in a cluster of float layers that it can keep in NCHW:
               from a 3x3 convolution of stride 2 on three channels with explicit padding, through 1x1 convolutions,
               3x3 and 5x5 depthwise ones, sums, products and element-wise layers, to the mean over the image; more than
               two thirds of the cluster's 1x1 weights are zero, and the file stores them in sparse form
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from rich.console import Console
from rich.table import Table

from robust_tf.refusal import Refusal

MOST_ALIVE = 1 / 3  # of the weights of a cluster's 1x1 convolutions


def named(enum):
    return {value: name for name, value in vars(enum).items() if not name.startswith("_")}


KINDS, TYPES = named(schema.BuiltinOperator), named(schema.TensorType)
BYTES = {"FLOAT32": 4, "FLOAT16": 2, "INT8": 1, "INT32": 4}
FLOATS = ("FLOAT32", "FLOAT16")
ELEMENTWISE = ("ABS", "CEIL", "ELU", "FLOOR", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG", "RELU", "RELU6", "SQUARE")
INTEGERS = "int8 never runs sparse: export --formats=sparse, which is float"
VALID = schema.Padding.VALID


@dataclass(frozen=True)
class Op:
    """An operation: its kind, options, and the indices of its tensors."""

    kind: str
    options: object
    inputs: tuple
    outputs: tuple


class Graph:
    """The only subgraph of a file: `ops`, and what its tensors are.

    Raises Refusal where `path` holds no such file.
    """

    def __init__(self, path):
        content = Path(path).read_bytes()
        try:
            if content[4:8] != b"TFL3":
                raise ValueError("another kind of file")
            model = schema.ModelT.InitFromPackedBuf(content, 0)
            (graph,) = model.subgraphs
            codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
            self.ops = [
                Op(KINDS[codes[op.opcodeIndex]], op.builtinOptions, tuple(op.inputs), tuple(op.outputs))
                for op in graph.operators
            ]
        except Exception as error:  # whatever reading foreign bytes as offsets may raise
            raise Refusal(f"{path}: expected a .tflite file; got {' '.join(str(error).split())[:200]}") from None
        self.tensors, self.buffers = graph.tensors, model.buffers
        self.made_by = {tensor: op for op in self.ops for tensor in op.outputs}

    def shape(self, tensor):
        shape = self.tensors[tensor].shape
        return [] if shape is None else [int(n) for n in shape]

    def type(self, tensor):
        return TYPES[self.tensors[tensor].type]

    def data(self, tensor):
        return self.buffers[self.tensors[tensor].buffer].data

    def stored(self, tensor):
        """(tensor, whether DENSIFY stands before it): where a kernel's values are in the file."""
        densified = False
        while (op := self.made_by.get(tensor)) is not None and op.kind in ("DENSIFY", "DEQUANTIZE"):
            densified |= op.kind == "DENSIFY"
            (tensor,) = op.inputs
        return tensor, densified

    def alive(self, tensor):
        """(weights that are not zero, weights) of a kernel; stored in sparse form, those that are stored."""
        tensor, _ = self.stored(tensor)
        number = int(np.prod(self.shape(tensor)))
        values = np.asarray(self.data(tensor), np.uint8).reshape(-1, BYTES[self.type(tensor)])
        return int(values.any(axis=1).sum()), number

    def name(self, op):
        """The Keras layer's name, where the converter left it: NET/LAYER/..., one for each layer that it fused."""
        tensors = (op.outputs[0], *op.inputs[1:2])
        names = [name for t in tensors for name in self.tensors[t].name.decode(errors="replace").split(";")]
        owners = [name for name in names if any(kind in name for kind in ("Conv2D", "/depthwise", "MatMul"))]
        parts = [*owners, names[0]][0].split("/")
        return parts[1] if len(parts) > 1 else "output"

    def padded_by(self, tensor):
        """Zeros at each side of the image that a PAD before `tensor` adds; None without a PAD."""
        op = self.made_by.get(tensor)
        if op is None or op.kind != "PAD":
            return None
        amounts = np.frombuffer(bytes(self.data(op.inputs[1])), np.int32).reshape(-1, 2)
        return amounts[1:3].ravel().tolist()


def lint(path):
    """The layers of the file that own a kernel.

    Returns:
      list of dicts: layer, kind, zeros (fraction), sparse (whether it runs in a sparse kernel on ARM), why (the rules
      that it breaks, each with its fix; empty where it is sparse). Raises Refusal for what is no .tflite file.
    """
    graph = Graph(path)
    obstacles, members = cluster(graph)
    rows = []
    for op in graph.ops:
        if op.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        alive, number = graph.alive(op.inputs[1])
        if op.kind == "FULLY_CONNECTED":
            why = dense_obstacles(graph, op)
        elif op.kind == "DEPTHWISE_CONV_2D":
            why = ["depthwise kernels have no sparse form"]
        elif graph.type(op.inputs[0]) not in FLOATS:
            why = [INTEGERS]
        elif window(graph, op) != (1, 1):
            why = [f"its window is {'x'.join(map(str, window(graph, op)))}: only 1x1 convolutions run sparse"]
        else:
            why = [] if op in members and not obstacles else obstacles or ["it is outside the cluster of float layers"]
        zeros = 1 - alive / number
        rows.append({"layer": graph.name(op), "kind": op.kind, "zeros": zeros, "sparse": not why, "why": why})
    return rows


def dense_obstacles(graph, op):
    tensor, densified = graph.stored(op.inputs[1])
    if graph.tensors[tensor].sparsity is None:
        return ["its kernel is stored dense: prune it in blocks (--projection=block) and export --formats=sparse"]
    if densified:
        return ["its zeros are scattered, so that it is made dense at load: prune it in blocks (--projection=block)"]
    return []


def window(graph, op):
    """(height, width) of a convolution's kernel, [out, h, w, in]."""
    return tuple(graph.shape(op.inputs[1])[1:3])


def cluster(graph):
    """(obstacles, ops) of the cluster that XNNPACK would run in NCHW: what forbids it, and what belongs to it."""
    starts = [op for op in graph.ops if op.kind == "CONV_2D" and window(graph, op) == (3, 3)]
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
        obstacles.append("the cluster does not end in a mean over the image: end in GlobalAveragePooling2D")
    pointwise = [op for op in members if op.kind == "CONV_2D" and window(graph, op) == (1, 1)]
    counts = np.sum([graph.alive(op.inputs[1]) for op in pointwise] or [(0, 0)], axis=0)
    if counts[0] >= MOST_ALIVE * counts[1]:
        zeros = 1 - counts[0] / max(counts[1], 1)
        obstacles.append(f"only {zeros:.0%} zeros in the 1x1 weights: prune more than two thirds of them")
    if not any(graph.stored(op.inputs[1])[1] for op in pointwise):
        obstacles.append("its kernels are stored dense: export --formats=sparse")
    return obstacles, members


def start_obstacles(graph, op):
    """What keeps a convolution from starting a cluster."""
    found, options = [], op.options
    if graph.type(op.inputs[0]) not in FLOATS:
        return [INTEGERS]
    if window(graph, op) != (3, 3):
        found.append(f"stem has a {'x'.join(map(str, window(graph, op)))} window: make it 3x3")
    if (options.strideH, options.strideW) != (2, 2):
        found.append(f"stem has stride {options.strideH}: make it 2")
    channels = graph.shape(op.inputs[0])[-1]
    if channels != 3:
        found.append(f"stem has {channels} input channel{'s' * (channels > 1)}: give it images of 3")
    if options.padding != VALID:
        found.append('padding is SAME: use ZeroPadding2D(1) and padding="valid"')
    elif graph.padded_by(op.inputs[0]) != [1, 1, 1, 1]:
        found.append('stem has no padding of 1: use ZeroPadding2D(1) and padding="valid"')
    return found


def inner_obstacles(graph, op, inside):
    """What keeps an operation from being in a cluster, or its end."""
    found = []
    if any(graph.type(tensor) not in FLOATS for tensor in (op.inputs[0], *op.outputs)):
        return [INTEGERS]
    if op.kind == "CONV_2D":
        if window(graph, op) != (1, 1):
            found.append(f"its window is {'x'.join(map(str, window(graph, op)))}: only 1x1 and depthwise may follow")
        if (op.options.strideH, op.options.strideW) != (1, 1):
            found.append("a 1x1 convolution has a stride: move it to the depthwise one")
    elif op.kind == "DEPTHWISE_CONV_2D":
        options, size = op.options, window(graph, op)
        if size not in ((3, 3), (5, 5)):
            found.append(f"its window is {'x'.join(map(str, size))}: make it 3x3 or 5x5")
        if options.depthMultiplier != 1:
            found.append("its multiplier is not 1")
        strided = (options.strideH, options.strideW) != (1, 1)
        if strided and options.padding != VALID:
            found.append('padding is SAME at stride 2: use ZeroPadding2D and padding="valid"')
        elif options.padding == VALID and graph.padded_by(op.inputs[0]) != [size[0] // 2] * 4:
            found.append(f"it has no padding of {size[0] // 2}: use ZeroPadding2D before it")
    elif op.kind in ("ADD", "MUL"):
        other = [tensor for tensor in op.inputs if tensor not in inside]
        if any(graph.shape(tensor) not in ([], [1]) for tensor in other):
            found.append("it adds or multiplies what is not from the cluster")
    elif op.kind == "MEAN":
        axes = np.frombuffer(bytes(graph.data(op.inputs[1])), np.int32).tolist()
        if axes != [1, 2]:
            found.append(f"its mean is over axes {axes}: use GlobalAveragePooling2D")
    elif op.kind != "PAD" and op.kind not in ELEMENTWISE:
        found.append("no cluster holds such a layer")
    return found


def show(path, rows):
    """Prints the layers as a table, and below it what the others lack."""
    table = Table("layer", "kind", "zeros", "sparse on ARM", title=str(path))
    for row in rows:
        verdict = "yes" if row["sparse"] else f"no ({reasons(rows).index(tuple(row['why'])) + 1})"
        table.add_row(row["layer"], row["kind"], f"{row['zeros']:.1%}", verdict)
    console = Console(markup=False)
    console.print(table)
    for number, why in enumerate(reasons(rows), 1):
        console.print(f"({number}) {'; '.join(why)}", highlight=False, soft_wrap=True)


def reasons(rows):
    """Every reason that stands in a row, once, in their order."""
    return list(dict.fromkeys(tuple(row["why"]) for row in rows if row["why"]))
