"""Intervals of float files: all kernels' outputs lie inside, and images that are certified keep their class."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_tf.attacks.pgd import pgd
from robust_tf.certification import file, floats
from robust_tf.certification.certified import certified
from robust_tf.export.formats import convert
from robust_tf.models.kernels import kernels
from robust_tf.refusal import Refusal
from robust_tf.tflite.graph import Graph

KERNELS = (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((40, 8, 6, 3), np.float32) * RANDOM.random((40, 1, 1, 3), np.float32)  # of several classes
FORMATS = ("float32", "float16", "sparse")


def every_layer():
    """Every float operation with a rule; two thirds of the weights are zero, the first dense kernel in blocks."""
    keras.utils.set_random_seed(0)
    layers, spread = keras.layers, keras.initializers.RandomUniform(-2, 2)
    image = keras.Input(IMAGES.shape[1:])
    a = layers.Rescaling((4.0, -3.0, 0.5), (-2.0, 1.5, 0.0))(image)
    a = layers.ReLU(6.0)(layers.Conv2D(8, 3, padding="same")(a))
    b = layers.DepthwiseConv2D(3, padding="same", bias_initializer="normal")(a)
    a = layers.ReLU()(
        layers.BatchNormalization(gamma_initializer=spread, beta_initializer=spread)(layers.Add()([a, b]))
    )
    average = layers.AveragePooling2D(3, strides=2, padding="same")(a)
    a = layers.Concatenate()([layers.MaxPooling2D(2)(a), average])
    a = layers.ZeroPadding2D(1)(a)
    top = layers.Dense(8)(layers.GlobalAveragePooling2D()(a))
    a = layers.ReLU()(layers.Add()([layers.Dense(8)(layers.Flatten()(a)), top]))
    net = keras.Model(image, layers.Dense(4)(a))
    rng = np.random.default_rng(1)
    for w in kernels(net)[1:-1]:
        if w.shape.rank == 2:
            w.assign(w * np.repeat(rng.random((w.shape[0] // 4, w.shape[1])) < 0.3, 4, axis=0))
        else:
            w.assign(w * (rng.random(w.shape) < 0.3))
    net.layers[-1].bias.assign(-net(IMAGES).numpy().mean(0))  # so that no class is always ahead
    return net


@pytest.fixture(scope="module")
def net():
    return every_layer()


@pytest.fixture(scope="module", params=FORMATS)
def path(request, net, tmp_path_factory):
    found = tmp_path_factory.mktemp("floats") / f"{request.param}.tflite"
    found.write_bytes(convert(net, request.param))
    return found


def run(path, resolver, images):
    interpreter = Interpreter(model_path=str(path), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    found = []
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].copy())
    return np.array(found, np.float64)


def test_sparse_kernels_are_expanded(net, tmp_path):
    """By element and in blocks: the file's kernels are the net's, with the layouts of TFLite."""
    path = tmp_path / "sparse.tflite"
    path.write_bytes(convert(net, "sparse"))
    graph, found = Graph(path), []
    encoded = [tensor for tensor in graph.tensors if tensor.sparsity is not None]
    assert any(tensor.sparsity.blockMap is not None for tensor in encoded)
    assert len(encoded) >= 3
    for op in graph.ops:
        if op.kind in ("CONV_2D", "FULLY_CONNECTED"):
            found.append(graph.values(op.inputs[1]))
    for w in (w.numpy() for w in kernels(net) if "depthwise" not in w.name):
        stored = w.transpose(3, 0, 1, 2) if w.ndim == 4 else w.T
        assert any(np.array_equal(stored, each) for each in found)


def test_without_a_radius_all_kernels_lie_inside_narrow_intervals(path):
    low, high = file.scores(Graph(path), IMAGES, 0)
    for resolver in KERNELS:
        z = run(path, resolver, IMAGES)
        assert ((low <= z) & (z <= high)).all()
    assert (high - low).max() < 0.02 * z.std()


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 0.2), st.integers(0, 2**31))
def test_images_within_eps_lie_inside(path, eps, seed):
    random, x = np.random.default_rng(seed), IMAGES[:4]
    low, high = file.scores(Graph(path), x, eps)
    for noise in (random.uniform(-eps, eps, x.shape), random.choice([-1, 1], x.shape) * eps):
        inside = np.clip(x + noise, 0, 1).astype(np.float32)
        for resolver in KERNELS:
            z = run(path, resolver, inside)
            assert ((low <= z) & (z <= high)).all()


def test_certified_images_survive_pgd(path, net):
    """PGD on the net, judged by the file; the certificate is that of the net but for images near a tie."""
    labels, resolver = run(path, KERNELS[0], IMAGES).argmax(-1), KERNELS[-1]
    assert len(np.unique(labels)) > 1
    counts = []
    for eps in (0, 0.002, 0.01, 0.05):
        proven = file.certified(path, IMAGES, labels, eps)
        counts.append(proven.sum())
        x_adv = pgd(net, tf.constant(IMAGES), labels, eps=eps, steps=10, norm="linf").numpy() if eps else IMAGES
        survived = run(path, resolver, x_adv).argmax(-1) == labels
        assert survived[proven].all()
        if path.stem != "float16":
            assert abs(proven.sum() - certified(net, IMAGES, labels, eps, "linf").sum()) <= 1
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == len(IMAGES)
    assert counts[1] > 0
    assert counts[-1] < len(IMAGES)
    assert not file.certified(path, IMAGES, (labels + 1) % 4, 0).any()


def test_a_sum_in_any_order_is_within_the_rounding():
    """A dense layer of terms that cancel, summed in float32 in random orders."""
    rng = np.random.default_rng(0)
    w, a = (rng.normal(size=2000).astype(np.float32) for _ in range(2))
    exact = np.dot(w.astype(np.float64), a)
    magnitude = np.abs(w.astype(np.float64)) @ np.abs(a)
    low, high = floats.widened(None, exact, exact, len(w), magnitude, 10.0)
    for _ in range(50):
        total = np.float32(0)
        for i in rng.permutation(len(w)):
            total += w[i] * a[i]
        assert low <= total <= high
        assert total != exact


def test_ties_are_not_certified(tmp_path):
    net = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    net.layers[-1].set_weights([np.ones((4, 3)), np.zeros(3)])
    path = tmp_path / "net.tflite"
    path.write_bytes(convert(net, "float32"))
    assert not file.certified(path, np.zeros((1, 2, 2, 1), np.float32), [0], 0).any()
    net.layers[-1].set_weights([np.ones((4, 3)), np.array([1e-3, 0, 0])])  # the same for every image
    path.write_bytes(convert(net, "float32"))
    assert file.certified(path, np.zeros((1, 2, 2, 1), np.float32), [0], 1).all()


@pytest.mark.parametrize(
    ("activation", "name"), [("dynamic", "int8 weights and float inputs"), ("tanh", "TANH"), ("softmax", "SOFTMAX")]
)
def test_what_is_not_known_is_named(tmp_path, activation, name):
    last = keras.layers.Dense(3, activation=None if activation == "dynamic" else activation)
    net = keras.Sequential([keras.Input((16, 8, 8)), keras.layers.Flatten(), keras.layers.Dense(40), last])
    path = tmp_path / "net.tflite"
    path.write_bytes(convert(net, "dynamic" if activation == "dynamic" else "float32"))
    with pytest.raises(Refusal, match=name):
        file.certified(path, np.zeros((1, 16, 8, 8), np.float32), [0], 0.1)


def test_values_beyond_float32_are_refused(tmp_path):
    net = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2), keras.layers.Dense(3)]
    )
    net.layers[1].set_weights([np.full((4, 2), 1e38), np.zeros(2)])
    path = tmp_path / "net.tflite"
    path.write_bytes(convert(net, "float32"))
    with pytest.raises(Refusal, match="beyond float32"):
        file.certified(path, np.ones((1, 2, 2, 1), np.float32), [0], 0.1)
