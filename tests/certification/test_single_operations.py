"""Files of one int8 operation, with scales that no converter would choose: every family lies inside the bounds."""

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf

from robust_tf.certification.propagation import propagate
from robust_tf.certification.requantise import FAMILIES
from robust_tf.evaluation.tflite import by_family, check_scales, interpreter
from robust_tf.refusal import Refusal
from robust_tf.tflite.graph import Graph, schema

TYPES = {"INT8": schema.TensorType.INT8, "INT32": schema.TensorType.INT32}
RANDOM = np.random.default_rng(0)


class OneOperation:
    """Writes a file: an int8 input, constants, the operation, an int8 output."""

    def __init__(self):
        self.tensors, self.buffers = [], [schema.BufferT()]

    def tensor(self, shape, scale=None, zero=0, values=None, kind="INT8"):
        """The number of a new tensor; scale: one, or one for each output channel."""
        made = schema.TensorT()
        made.shape, made.type, made.name, made.buffer = list(shape), TYPES[kind], b"", 0
        if values is not None:
            made.buffer = len(self.buffers)
            self.buffers.append(schema.BufferT())
            self.buffers[-1].data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = [float(each) for each in np.atleast_1d(np.float32(scale))]
            made.quantization.zeroPoint = [zero] * len(made.quantization.scale)
        self.tensors.append(made)
        return len(self.tensors) - 1

    def write(self, path, kind, inputs, output, options, version=2):
        code, operation, graph = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode, code.version = code.builtinCode, version
        operation.inputs, operation.outputs, operation.opcodeIndex = inputs, [output], 0
        operation.builtinOptions = options
        name = type(options).__name__.removesuffix("T")
        operation.builtinOptionsType = getattr(schema.BuiltinOptions, name) if options else 0
        graph.tensors, graph.inputs, graph.outputs, graph.operators = self.tensors, inputs[:1], [output], [operation]
        model = schema.ModelT()
        model.version, model.operatorCodes, model.buffers, model.subgraphs = 3, [code], self.buffers, [graph]
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def options(kind, activation="NONE", **values):
    made = getattr(schema, f"{kind}OptionsT")()
    if hasattr(made, "fusedActivationFunction"):
        made.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def mean(path, zero, zero_out, keep):
    net = OneOperation()
    source, axes = net.tensor((1, 5, 7, 16), 0.02, zero), net.tensor((2,), values=np.int32([1, 2]), kind="INT32")
    output = net.tensor((1, 1, 1, 16) if keep else (1, 16), 0.0131, zero_out)
    return net.write(path, "MEAN", [source, axes], output, options("Reducer", keepDims=keep))


def pair(path, kind, scale, out, activation="NONE", zero=0):
    """ADD or MUL with a constant of scale 0.037."""
    net = OneOperation()
    source, output = net.tensor((1, 256), scale, zero), net.tensor((1, 256), out, -128)
    constant = net.tensor((1, 256), 0.037, 5, RANDOM.integers(-128, 128, (1, 256)).astype(np.int8))
    return net.write(path, kind, [source, constant], output, options(kind.title(), activation))


def pool(path, kind, activation):
    net, of = OneOperation(), {"filterHeight": 2, "filterWidth": 2, "strideH": 2, "strideW": 2, "padding": 1}
    source, output = net.tensor((1, 4, 4, 32), 2.4, -20), net.tensor((1, 2, 2, 32), 2.4, -20)
    return net.write(path, kind, [source], output, options("Pool2D", activation, **of))


def dense(path, ratio, bias=50):
    net = OneOperation()
    W = RANDOM.integers(-127, 128, (8, 64)).astype(np.int8)
    source, output = net.tensor((1, 64), 1.0, 0), net.tensor((1, 8), 1 / ratio, 0)
    b = net.tensor((8,), 1.0, values=RANDOM.integers(-bias, bias, 8).astype(np.int32), kind="INT32")
    return net.write(
        path, "FULLY_CONNECTED", [source, net.tensor(W.shape, 1.0, 0, W), b], output, options("FullyConnected"), 5
    )


def sliced(path, strides=(1, 1, 2, 1), mask=None):
    """Rows 1 and 2 of 4, every second column, channels 0 to 2."""
    net = OneOperation()
    source, output = net.tensor((1, 4, 4, 5), 0.1, 3), net.tensor((1, 2, 2, 3), 0.1, 3)
    ends = [net.tensor((4,), values=np.int32(each), kind="INT32") for each in ((0, 1, 0, 0), (1, 3, 4, 3), strides)]
    masks = {"beginMask": 0, "endMask": 0, "ellipsisMask": 0, "newAxisMask": 0, "shrinkAxisMask": 0}
    masks |= {f"{mask}Mask": 2} if mask else {}
    return net.write(path, "STRIDED_SLICE", [source, *ends], output, options("StridedSlice", **masks))


def rescaled(path, scale, out):
    net = OneOperation()
    return net.write(
        path, "QUANTIZE", [net.tensor((1, 256), scale, -128)], net.tensor((1, 256), out, -128), options("Quantize")
    )


KNOWN = {
    **{
        f"MEAN {zero} {out} keep={keep}": (mean, zero, out, keep)
        for zero, out in ((-128, -128), (7, -33), (-100, 3))
        for keep in (True, False)
    },
    **{f"ADD {s} to {out}": (pair, "ADD", s, out) for s, out in ((0.02, 0.05), (0.3, 0.0131), (1e-4, 3e-4))},
    **{f"{kind} RELU6": (pair, kind, 0.02, 2.4, "RELU6", -128) for kind in ("ADD", "MUL")},  # 6 / 2.4 = 2.5, a tie
    "STRIDED_SLICE": (sliced,),
    "MUL": (pair, "MUL", 0.02, 0.0131, "RELU"),
    **{f"{kind} {a}": (pool, kind, a) for kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D") for a in ("NONE", "RELU6")},
    **{f"dense {ratio}": (dense, ratio) for ratio in (1e-4, 0.9, 3, 200)},
    **{f"QUANTIZE {scale} to {out}": (rescaled, scale, out) for scale, out in ((0.02, 0.0234), (0.1, 0.011))},
}  # fmt: skip


def bounds(path, stored):
    graph, side = Graph(path), tf.constant(stored, tf.float64)
    return [end.numpy() for end in propagate(graph, graph.ops, {graph.inputs[0]: (side, side)})[graph.outputs[0]]]


def run(path, family, stored):
    loaded, found = interpreter(path, "ai_edge_litert", family=family), []
    for each in stored:
        loaded.set_tensor(loaded.get_input_details()[0]["index"], each[None])
        loaded.invoke()
        found.append(loaded.get_tensor(loaded.get_output_details()[0]["index"])[0].copy())
    return np.array(found)


@pytest.mark.parametrize("name", KNOWN)
def test_every_family_lies_inside_narrow_bounds(name, tmp_path):
    make, *arguments = KNOWN[name]
    path = make(tmp_path / "one.tflite", *arguments)
    shape = Graph(path).shape(Graph(path).inputs[0])[1:]
    stored = np.random.default_rng(1).integers(-128, 128, (60, *shape)).astype(np.int8)
    low, high = bounds(path, stored)
    assert (high - low).mean() < 2.5
    for family in FAMILIES:
        scores = run(path, family, stored)
        assert ((low <= scores) & (scores <= high)).all(), family


@pytest.mark.parametrize(
    ("make", "arguments", "reason"),
    [
        (dense, (200, 2**30), "FULLY_CONNECTED with sums beyond 32 bits, which kernels wrap"),
        (dense, (2.0**15,), "FULLY_CONNECTED with sums beyond 32 bits"),
        *(
            (sliced, arguments, "STRIDED_SLICE that changes the number of axes")
            for arguments in (
                ((2, 1, 2, 1),),
                *(((1, 1, 2, 1), mask) for mask in ("shrinkAxis", "newAxis", "ellipsis")),
            )
        ),
        (pair, ("ADD", 3e-5, 2e-5), "ADD of an input whose scale is 128 times the output's or more"),
    ],
)
def test_what_has_no_bounds_is_refused(make, arguments, reason, tmp_path):
    path = make(tmp_path / "one.tflite", *arguments)
    with pytest.raises(Refusal, match=reason):
        bounds(path, np.full((1, *Graph(path).shape(Graph(path).inputs[0])[1:]), 127, np.int8))


def test_a_layer_that_would_end_the_process_is_refused(tmp_path):
    path = dense(tmp_path / "one.tflite", 2900)
    with pytest.raises(Refusal, match=r"got FULLY_CONNECTED with scales whose ratio is 2.9e\+03, where its kernels"):
        interpreter(path, "ai_edge_litert")
    assert set(by_family(path, np.zeros((1, 64), np.float32))) == {"reference", "built_in"}
    check_scales(dense(tmp_path / "two.tflite", 200), "ai_edge_litert")
