"""The graph of a .tflite file, read as data: nothing is run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from robust_tf.refusal import Refusal
from robust_tf.tflite.sparse import expanded


def names_of(enum):
    return {value: name for name, value in vars(enum).items() if not name.startswith("_")}


KINDS, TYPES = names_of(schema.BuiltinOperator), names_of(schema.TensorType)
BYTES = {"FLOAT32": 4, "FLOAT16": 2, "INT8": 1, "INT32": 4}
NUMPY = {"FLOAT32": np.float32, "FLOAT16": np.float16, "INT8": np.int8, "UINT8": np.uint8, "INT32": np.int32}


@dataclass(frozen=True)
class Op:
    """An operation of the graph; inputs, outputs: indices of its tensors."""

    kind: str
    options: object
    inputs: tuple
    outputs: tuple


class Graph:
    """The only subgraph of a file: its operations `ops`, its tensors, and the numbers of its inputs and outputs.

    Raises Refusal if `path` is not such a file.
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
            self.tensors, self.buffers = graph.tensors, model.buffers
            self.inputs, self.outputs = (tuple(map(int, ends)) for ends in (graph.inputs, graph.outputs))
            self.check_indices()
        except Exception as error:  # reading arbitrary bytes as offsets may raise any type
            raise Refusal(f"{path}: expected a .tflite file; got {' '.join(str(error).split())[:200]}") from None
        self.producers = {tensor: op for op in self.ops for tensor in op.outputs}

    def check_indices(self):
        """Raises an error where a number of a tensor, a buffer or a type names none; -1: an input that is left out."""
        for op in self.ops:
            if not op.outputs or min((*op.inputs, 0)) < -1 or min(op.outputs) < 0:
                raise ValueError(f"a {op.kind} of the tensors {op.inputs} to {op.outputs}")
        tensors = {tensor for op in self.ops for tensor in (*op.inputs, *op.outputs)}
        for tensor in tensors.union(self.inputs, self.outputs) - {-1}:
            self.type(tensor), self.data(tensor)

    def shape(self, tensor):
        shape = self.tensors[tensor].shape
        return [] if shape is None else [int(n) for n in shape]

    def type(self, tensor):
        return TYPES[self.tensors[tensor].type]

    def data(self, tensor):
        return self.buffers[self.tensors[tensor].buffer].data

    def values(self, tensor):
        """The constant that a tensor holds, as a dense array; None if it holds none, or one of another type.

        What DENSIFY makes of a constant is one too, and what DEQUANTIZE makes of one in float16.
        """
        source, _ = self.stored(tensor)
        data = self.data(source)
        if data is None or len(data) == 0 or self.type(source) not in NUMPY:
            return None
        values, sparsity = np.frombuffer(bytes(data), NUMPY[self.type(source)]), self.tensors[source].sparsity
        shape = self.shape(source)
        values = values.reshape(shape) if sparsity is None else expanded(values, sparsity, shape)
        if self.type(tensor) != self.type(source):
            return values.astype(np.float32) if self.type(source) == "FLOAT16" else None
        return values

    def quantisation(self, tensor):
        """(scales float32 [1] or [channels], zero point) of an integer tensor.

        Raises Refusal where it has none, scales that are not positive, or zero points that differ.
        """
        found = self.tensors[tensor].quantization
        scales, zeros = (None, None) if found is None else (found.scale, found.zeroPoint)
        scales = np.asarray([] if scales is None else scales, np.float32)
        zeros = set() if zeros is None else set(map(int, zeros))
        if not (len(scales) and (scales > 0).all() and np.isfinite(scales).all() and len(zeros) == 1):
            raise Refusal(f"expected positive scales and one zero point of each integer tensor; got {scales}, {zeros}")
        return scales, zeros.pop()

    def stored(self, tensor):
        """(the tensor that stores a kernel's values in the file, whether a DENSIFY operation follows it)."""
        densified = False
        while (op := self.producers.get(tensor)) is not None and op.kind in ("DENSIFY", "DEQUANTIZE"):
            densified |= op.kind == "DENSIFY"
            (tensor,) = op.inputs
        return tensor, densified

    def weight_counts(self, tensor):
        """(non-zero weights, all weights) of a kernel."""
        tensor, _ = self.stored(tensor)
        number = int(np.prod(self.shape(tensor)))
        values = np.asarray(self.data(tensor), np.uint8).reshape(-1, BYTES[self.type(tensor)])
        return int(values.any(axis=1).sum()), number

    def name(self, op):
        """The name of the Keras layer, from the tensor's name: NET/LAYER/...;..., one part for each fused layer."""
        tensors = (op.outputs[0], *op.inputs[1:2])
        names = [name for t in tensors for name in self.tensors[t].name.decode(errors="replace").split(";")]
        owners = [name for name in names if any(kind in name for kind in ("Conv2D", "/depthwise", "MatMul"))]
        parts = [*owners, names[0]][0].split("/")
        return parts[1] if len(parts) > 1 else "output"

    def padded_by(self, tensor):
        """[top, bottom, left, right] zeros that a PAD operation before `tensor` adds; None without a PAD."""
        op = self.producers.get(tensor)
        if op is None or op.kind != "PAD":
            return None
        amounts = np.frombuffer(bytes(self.data(op.inputs[1])), np.int32).reshape(-1, 2)
        return amounts[1:3].ravel().tolist()
