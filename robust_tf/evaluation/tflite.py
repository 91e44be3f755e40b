"""A .tflite file as a function of images, in any installed TFLite runtime."""

import functools
import importlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import tensorflow as tf

from robust_tf.refusal import Refusal
from robust_tf.terminal import quiet
from robust_tf.tflite.graph import Graph

# Accuracies are reported for the first one that is installed.
RUNTIMES = ("tflite_runtime", "ai_edge_litert", "tensorflow")


def installed_runtimes():
    """Name and version of each runtime in this environment, in the order of RUNTIMES."""
    found = []
    for package in RUNTIMES:
        try:
            installed = version(package)
        except PackageNotFoundError:
            continue
        if package == "tflite_runtime" and int(np.__version__.split(".")[0]) > 1:
            continue  # built for NumPy 1, it fails at the first file
        found.append(f"{package} {installed}")
    return found


def processor():
    """The name of this machine's CPU."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return [*names, platform.processor(), platform.machine()][0] or platform.machine()


# The resolvers of ai_edge_litert that run each family of kernels in `certification.requantise`.
LAYERS, LARGEST_RATIO = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), 256  # see `check_scales`
WITH_FAMILIES = "ai_edge_litert"  # the runtime whose kernels can be chosen
RESOLVERS = {"reference": "BUILTIN_REF", "built_in": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "xnnpack": "AUTO"}


def interpreter(path, runtime, threads=1, family=None):
    """An interpreter of the file with its tensors allocated. Raises Refusal.

    runtime: a package of RUNTIMES. family: of RESOLVERS; None for the runtime's default.
    """
    if RESOLVERS.get(family, "AUTO") == "AUTO":
        check_scales(path, runtime)
    module = tf.lite if runtime == "tensorflow" else importlib.import_module(f"{runtime}.interpreter")
    more = {}
    if family:
        more = {"experimental_op_resolver_type": getattr(module.OpResolverType, RESOLVERS[family])}
    try:
        with quiet():
            loaded = module.Interpreter(model_path=str(path), num_threads=threads, **more)
            loaded.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = [*str(error).splitlines(), ""][0]
        raise Refusal(f"{path}: expected a TFLite file that {runtime} runs; got {reason}") from error
    return loaded


def check_scales(path, runtime):
    """Raises Refusal for int8 layers with scale_in scale_kernel / scale_out >= 256.

    XNNPACK does not take them, and in the middle of a file it ends the process. Nets whose activations have died have
    such scales.
    """
    try:
        graph = Graph(path)
        ratios = [(ratio_of_scales(graph, op), op.kind) for op in graph.ops if op.kind in LAYERS]
    except Refusal:  # the runtime says what is wrong with it
        return
    largest, kind = max(ratios, default=(0, ""))
    if largest >= LARGEST_RATIO:
        raise Refusal(
            f"{path}: expected a TFLite file that {runtime} runs; got {kind} with scales whose ratio is {largest:.3g},"
            f" where its kernels take less than {LARGEST_RATIO}: its outputs may all be 0"
        )


def ratio_of_scales(graph, op):
    """The largest scale_in scale_kernel / scale_out of an int8 layer; 0 of others."""
    tensors = (*op.inputs[:2], *op.outputs)
    if any(graph.type(tensor) != "INT8" for tensor in tensors):
        return 0.0
    source, kernel, sink = (graph.quantisation(tensor)[0] for tensor in tensors)
    return float(np.max(source) * np.max(kernel) / np.min(sink))


def scores(loaded, images):
    """Scores of the file for images, one at a time as on a device.

    Args:
      loaded: an `interpreter`.
      images: float32 [N, H, W, C] in [0, 1]; converted where the file's input or output has an integer type.

    Returns:
      scores: float32 [N, K].
    """
    return to_float(outputs(loaded, images), loaded.get_output_details()[0])


def outputs(loaded, images):
    """The `scores` as the file stores them, in the type of its output."""
    source, sink = loaded.get_input_details()[0], loaded.get_output_details()[0]
    out = np.empty((len(images), sink["shape"][-1]), sink["dtype"])
    for i, image in enumerate(images):
        loaded.set_tensor(source["index"], to_input_type(image[None], source))
        loaded.invoke()
        out[i] = loaded.get_tensor(sink["index"])[0]
    return out


def by_family(path, x):
    """{family of kernels: stored scores [N, K] of images x}, without families that cannot run the file."""
    found = {}
    for family in RESOLVERS:
        try:
            found[family] = outputs(interpreter(path, WITH_FAMILIES, family=family), x)
        except Refusal:
            continue
    return found


def scorer(path, image_shape, classes):
    """A .tflite file as a function in TensorFlow's graph, images [B, H, W, C] -> scores [B, classes], no gradient.

    Uses the first installed runtime. Runs a batch at once if the file then gives the same scores as for one image at a
    time, otherwise one image at a time. Raises Refusal for a file of other images or classes.
    """
    runtime = installed_runtimes()[0].split()[0]
    threads = os.cpu_count()
    single, batched = interpreter(path, runtime, threads), interpreter(path, runtime, threads)
    shapes = [details[0]["shape"][1:] for details in (single.get_input_details(), single.get_output_details())]
    for what, shape, expected in zip(("images", "scores"), shapes, (image_shape, (classes,))):
        if tuple(shape) != tuple(expected):
            raise Refusal(f"{path}: expected {what} of shape {tuple(expected)}; got {tuple(map(int, shape))}")
    shape = shapes[0]
    probe = np.random.default_rng(0).random((4, *shape), np.float32)
    agrees = _resizable(batched, probe) and np.allclose(_at_once(batched, probe), scores(single, probe), atol=1e-5)
    score = functools.partial(_at_once, batched) if agrees else functools.partial(scores, single)

    @tf.function(input_signature=[tf.TensorSpec((None, *shape))])
    def judge(x):
        return tf.ensure_shape(tf.numpy_function(score, [x], tf.float32, stateful=False), (None, classes))

    return judge


def _resizable(loaded, images):
    """Whether the file accepts a batch of these images."""
    try:
        _at_once(loaded, images)
    except (RuntimeError, ValueError):
        return False
    return True


def _at_once(loaded, images):
    """`scores` of a whole batch in one call."""
    source, sink = loaded.get_input_details()[0], loaded.get_output_details()[0]
    if tuple(source["shape"]) != images.shape:
        with quiet():
            loaded.resize_tensor_input(source["index"], images.shape)
            loaded.allocate_tensors()
    loaded.set_tensor(source["index"], to_input_type(images, source))
    loaded.invoke()
    return to_float(loaded.get_tensor(sink["index"]), sink)


def to_input_type(x, detail):
    """q = round(x / scale) + zero_point within the range of the integer type; x itself for a float input."""
    if not np.issubdtype(detail["dtype"], np.integer):
        return x.astype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.rint(x / scale) + zero_point, limits.min, limits.max).astype(detail["dtype"])


def to_float(q, detail):
    """(q - zero_point) * scale; q itself for a float output."""
    if not np.issubdtype(detail["dtype"], np.integer):
        return q
    scale, zero_point = detail["quantization"]
    return (q.astype(np.float32) - zero_point) * scale
