"""Intervals of int8 files: one family's rounding is bit-exact, and all kernels' outputs lie inside the intervals."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_tf.certification import file, integers
from robust_tf.certification.propagation import propagate
from robust_tf.certification.requantise import FAMILIES, covering, emulating, error, multiplier
from robust_tf.evaluation.tflite import interpreter
from robust_tf.export.formats import convert
from robust_tf.models.channels import ChannelShuffle, ChannelSlice
from robust_tf.refusal import Refusal
from robust_tf.tflite.graph import Graph

IMAGES = np.random.default_rng(0).random((40, 10, 8, 3), np.float32)


def plain():
    """Strides, both paddings, ReLU6, max pooling, a negative-valued layer in between."""
    layers = keras.layers
    return [
        layers.Conv2D(6, 3, strides=2, padding="same", activation="relu6"),
        layers.Conv2D(5, 2, bias_initializer="normal"),
        layers.MaxPooling2D(2, padding="same"),
        layers.Flatten(),
        layers.Dense(7, activation="relu"),
    ]


def separable():
    layers = keras.layers
    return [
        layers.ZeroPadding2D(1),
        layers.DepthwiseConv2D(3, strides=2, activation="relu", bias_initializer="normal"),
        layers.Conv2D(8, 1, activation="relu"),
        layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        layers.Flatten(),
    ]


def residual():
    """A sum, a concatenation and averages, whose rounding is bounded, not emulated."""
    layers = keras.layers
    image = keras.Input(IMAGES.shape[1:])
    a = layers.Conv2D(6, 3, padding="same", activation="relu")(image)
    a = layers.ReLU()(layers.Add()([a, layers.Conv2D(6, 3, padding="same")(a)]))
    average = layers.AveragePooling2D(3, strides=1, padding="same")(a)
    a = layers.Concatenate()([layers.Conv2D(4, 1, activation="relu")(a), average])
    a = layers.GlobalAveragePooling2D()(layers.AveragePooling2D(2)(a))
    return [keras.Model(image, a)]


def scaled():
    """Products and sums with constants of either sign, a shuffle and a slice of channels, a ReLU that rounds."""
    layers = keras.layers
    norm = {"gamma_initializer": "normal", "beta_initializer": "normal"}
    return [
        layers.Rescaling((4.0, -3.0, 0.5), (-2.0, 1.5, 0.0)),
        layers.Conv2D(8, 3),
        ChannelShuffle(2),
        layers.MaxPooling2D(2),
        layers.BatchNormalization(**norm),
        layers.ReLU(),
        ChannelSlice(2, 7),
        layers.Flatten(),
    ]


NETS, EMULATED = [plain, separable, residual, scaled], [plain, separable]


@pytest.fixture(scope="module", params=NETS)
def path(request, tmp_path_factory):
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input(IMAGES.shape[1:]), *request.param(), keras.layers.Dense(4)])
    found = tmp_path_factory.mktemp("int8") / "net.tflite"
    found.write_bytes(convert(net, "int8", IMAGES))
    return found


@pytest.fixture(scope="module")
def graph(path):
    return Graph(path)


def run(path, family, stored):
    """The stored scores of stored images, by the kernels of a family."""
    loaded, scores = interpreter(path, "ai_edge_litert", family=family), []
    for image in stored.astype(np.int8):
        loaded.set_tensor(loaded.get_input_details()[0]["index"], image[None])
        loaded.invoke()
        scores.append(loaded.get_tensor(loaded.get_output_details()[0]["index"])[0].copy())
    return np.array(scores, np.float64)


def bounds(graph, low, high, rounded=covering):
    found = propagate(graph, graph.ops, {graph.inputs[0]: (tf.constant(low), tf.constant(high))}, rounded)
    return [side.numpy() for side in found[graph.outputs[0]]]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("path", EMULATED, indirect=True)
def test_a_family_is_emulated_bit_for_bit(path, graph, family):
    stored, _ = file.stored(graph, IMAGES, 0)
    low, high = bounds(graph, stored, stored, emulating(family))
    assert (low == high).all()
    assert (low == run(path, family, stored)).all()
    assert len(np.unique(low)) > 20  # the scores are not all clipped


def test_without_a_radius_every_family_lies_inside_narrow_intervals(path, graph):
    stored, _ = file.stored(graph, IMAGES, 0)
    low, high = bounds(graph, stored, stored)
    for family in FAMILIES:
        scores = run(path, family, stored)
        assert ((low <= scores) & (scores <= high)).all()
    assert (high - low).mean() < 3  # of 256


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 0.2), st.integers(0, 2**31))
def test_images_within_eps_lie_inside(path, graph, eps, seed):
    random = np.random.default_rng(seed)
    x = IMAGES[:4]
    low, high = bounds(graph, *file.stored(graph, x, eps))
    corners = random.choice([-1, 1], x.shape) * eps  # attacks often end in corners
    for noise in (random.uniform(-eps, eps, x.shape), corners):
        inside = np.clip(x + noise, 0, 1).astype(np.float32)
        for family in FAMILIES:
            scores = run(path, family, file.stored(graph, inside, 0)[0])
            assert ((low <= scores) & (scores <= high)).all()


def test_certified_images_keep_their_class(path, graph):
    """Against random corners, in every family; and larger radii certify fewer images."""
    labels = run(path, "reference", file.stored(graph, IMAGES, 0)[0]).argmax(-1)
    random, counts = np.random.default_rng(1), []
    for eps in (0, 0.002, 0.01, 0.05):
        proven = file.certified(path, IMAGES, labels, eps)
        counts.append(proven.sum())
        for _ in range(5):
            moved = np.clip(IMAGES + random.choice([-eps, eps], IMAGES.shape), 0, 1).astype(np.float32)
            for family in FAMILIES:
                scores = run(path, family, file.stored(graph, moved, 0)[0])
                assert (scores.argmax(-1) == labels)[proven].all()
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > len(IMAGES) / 2
    wrong = (labels + 1) % 4
    assert not file.certified(path, IMAGES, wrong, 0).any()


def test_the_error_before_rounding():
    """2^min(e, 0) + 2^-21 |r|, where 2^(e-1) <= M < 2^e; beyond half a unit `covering` covers it."""
    M, r = np.array([0.25, 0.3, 3.0]), np.array([-(2.0**21), 2.0**22, 0.0])
    np.testing.assert_allclose(error(M, r), [0.5 + 1, 0.5 + 2, 1], rtol=1e-9)
    scales = np.float32(1), np.array([2.0**-10], np.float32), np.float32(1)  # e = -9
    for s in range(-3000, 3000, 7):
        low, high = (int(side[0]) for side in covering(*[tf.constant([s], tf.float64)] * 2, None, *scales))
        r, t = s / 2**10, 0.5 + 2**-9 + abs(s) / 2**31
        assert (low, high) == (np.ceil(r - t), np.floor(r + t))


def test_scores_are_compared_jointly(tmp_path):
    """A dense layer's r = M (W a + b): r_y - r_j over all images of the ball is at least 1 + 2^e_y + 2^e_j, with
    2^(e-1) <= M < 2^e, for any kernel's scores to keep their order."""
    keras.utils.set_random_seed(0)
    random, path, eps = np.random.default_rng(0), tmp_path / "net.tflite", 0.05
    x = random.random((2000, 4, 4, 1), np.float32)
    net = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    path.write_bytes(convert(net, "int8", x))
    graph = Graph(path)
    op = graph.ops[-1]
    M = multiplier(*integers.scales(graph, op)) * np.ones(3)
    W, b = integers.kernel_and_bias(graph, op)
    W, b = M[:, None] * W, M * b
    zero_point = integers.scale_of(graph, op.inputs[0])[1]
    low, high = (side.reshape(len(x), -1) - zero_point for side in file.stored(graph, x, eps))
    r = (low + high) / 2 @ W.T + b
    y = r.argmax(1)
    least = r[np.arange(len(y)), y][:, None] - r - np.einsum("bd,bjd->bj", (high - low) / 2, np.abs(W[y][:, None] - W))
    t = np.exp2(np.floor(np.log2(M)) + 1)
    beyond = np.where(np.arange(3) == y[:, None], np.inf, least - 1 - t[y][:, None] - t).min(1)
    unclipped = np.abs(r).max(1) < 100
    proven = file.certified(path, x, y, eps)
    just = (beyond > 1e-2) & (beyond < 1) & unclipped
    assert just.sum() > 20
    assert proven[just].all()
    assert not proven[least.min(1) < -1].any()


def test_an_unknown_operation_is_named(tmp_path):
    net = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="tanh")])
    path = tmp_path / "net.tflite"
    path.write_bytes(convert(net, "int8", np.random.default_rng(0).random((20, 4, 4, 1), np.float32)))
    with pytest.raises(Refusal, match="TANH"):
        file.certified(path, np.zeros((1, 4, 4, 1), np.float32), [0], 0.1)


@pytest.mark.parametrize("ends", [(tf.float32, tf.float32), (tf.uint8, tf.uint8), (tf.uint8, tf.float32)])
def test_other_types_at_the_ends_change_nothing(tmp_path, ends):
    """The same net with int8 ends is certified on the same images."""
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input(IMAGES.shape[1:]), *plain(), keras.layers.Dense(4)])
    inner, other = tmp_path / "int8.tflite", tmp_path / "other.tflite"
    inner.write_bytes(convert(net, "int8", IMAGES))
    converter = tf.lite.TFLiteConverter.from_keras_model(net)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in IMAGES)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type, converter.inference_output_type = ends
    other.write_bytes(converter.convert())
    labels = run(inner, "reference", file.stored(Graph(inner), IMAGES, 0)[0]).argmax(-1)
    for eps in (0, 0.002):
        proven = file.certified(other, IMAGES, labels, eps)
        assert proven.sum() == pytest.approx(file.certified(inner, IMAGES, labels, eps).sum(), abs=1)
        assert proven.any()


def test_sums_that_would_wrap_are_refused(path, graph):
    """With inputs beyond int8, as no file has: the check is of the sums alone."""
    op = next(op for op in graph.ops if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"))
    shape = [1, *graph.shape(op.inputs[0])[1:]]
    huge = tf.fill(shape, tf.constant(2.0**40, tf.float64))
    with pytest.raises(Refusal, match="sums beyond 32 bits"):
        propagate(graph, [op], {op.inputs[0]: (-huge, huge)}, covering)


@pytest.mark.parametrize("form", ["int8", "float32"])
def test_damage_never_ends_in_another_error(tmp_path, form):
    """Bytes that are changed or cut off at random: refused in one line, or bounded as another file."""
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input(IMAGES.shape[1:]), *plain(), keras.layers.Dense(4)])
    content, path, refused = convert(net, form, IMAGES), tmp_path / "net.tflite", 0
    random = np.random.default_rng(0)
    for number in range(150):
        damaged = bytearray(content)
        if number % 3 == 0:
            damaged = damaged[: random.integers(len(content))]
        else:
            damaged[-random.integers(1, 3000)] = random.integers(256)  # the graph is at the end
        path.write_bytes(damaged)
        try:
            graph = Graph(path)
            file.check_ends(graph, path, IMAGES.shape[1:], 4)
            file.prover(graph)(IMAGES[:1], np.zeros(1, int), 0.1)
        except Refusal:
            refused += 1
    assert 50 < refused < 150
