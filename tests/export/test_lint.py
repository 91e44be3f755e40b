"""The linter's rules, each on a file that breaks it, and on one that breaks none."""

import numpy as np
import pytest
import tf_keras as keras

from robust_tf.export import lint
from robust_tf.export.formats import convert
from robust_tf.models import MODELS
from robust_tf.models.kernels import kernel_layers
from robust_tf.refusal import Refusal

layers = keras.layers


def cluster(
    channels=3, stem=3, stride=2, padding="valid", pad=1, zeros=0.9, body=None, end=layers.GlobalAveragePooling2D
):
    """A stem, a 1x1 convolution, a padded depthwise one and another 1x1, then the mean and a classifier."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((12, 12, channels))
    x = layers.ZeroPadding2D(pad)(x) if pad else x
    x = layers.Conv2D(8, stem, stride, padding=padding, activation="relu", name="stem")(x)
    x = layers.Conv2D(16, 1, activation="relu", name="wide")(x)
    x = body(x) if body else layers.DepthwiseConv2D(3, name="depthwise")(layers.ZeroPadding2D(1)(x))
    x = layers.Conv2D(16, 1, name="narrow")(x)
    net = keras.Model(image, layers.Dense(3, name="logits")(layers.Flatten()(end()(x))))
    for layer in kernel_layers(net):
        if layer.name in ("wide", "narrow"):
            kernel = layer.kernel.numpy()
            smallest = np.argsort(np.abs(kernel).ravel())[: round(zeros * kernel.size)]
            kernel.ravel()[smallest] = 0
            layer.kernel.assign(kernel)
    return net


def rows(net, path, name="sparse"):
    x = np.random.default_rng(0).random((20, *net.input_shape[1:]), np.float32)
    path.write_bytes(convert(net, name, x))
    return {row["layer"]: row for row in lint.lint(path)}


def test_a_cluster_runs_sparse(tmp_path):
    found = rows(cluster(), tmp_path / "model.tflite")
    assert found["wide"]["sparse"]
    assert found["narrow"]["sparse"]
    assert found["narrow"]["zeros"] == pytest.approx(0.9, abs=0.01)
    assert found["stem"]["why"] == ["its kernel is 3x3: only 1x1 convolutions run sparse"]
    assert found["depthwise"]["why"] == ["depthwise kernels have no sparse form"]


@pytest.mark.parametrize(
    ("net", "why"),
    [
        ({"stride": 1}, "the stem has stride 1: make it 2"),
        ({"padding": "same", "pad": 0}, "the stem has SAME padding"),
        ({"pad": 0}, "the stem has no explicit padding of 1"),
        ({"channels": 1}, "the stem has 1 input channel: use images with 3"),
        ({"stem": 5, "pad": 2}, "the stem has a 5x5 kernel: make it 3x3"),
        ({"zeros": 0.41}, "only 41% zeros in the 1x1 weights: prune more than two thirds of them"),
        ({"body": layers.Conv2D(16, 3)}, "its kernel is 3x3: use only 1x1 and depthwise convolutions"),
        ({"body": layers.DepthwiseConv2D(3, 2, padding="same")}, "it has SAME padding and stride 2"),
        ({"body": layers.DepthwiseConv2D(3, depth_multiplier=2)}, "its depth multiplier is not 1"),
        ({"body": layers.MaxPooling2D(2)}, "a cluster cannot contain this operation"),
        ({"end": layers.Flatten}, "a cluster cannot contain this operation"),
    ],
)
def test_what_keeps_a_cluster_from_running_sparse(tmp_path, net, why):
    reasons = rows(cluster(**net), tmp_path / "model.tflite")["wide"]["why"]
    assert any(why in reason for reason in reasons)


def test_formats_that_never_run_sparse(tmp_path):
    path = tmp_path / "model.tflite"
    assert rows(cluster(), path, "int8")["wide"]["why"] == [lint.INTEGERS]
    assert rows(cluster(), path, "float32")["wide"]["why"] == ["its kernels are stored dense: use --formats=sparse"]


def test_the_registered_edge_net_is_one_cluster(tmp_path):
    keras.utils.set_random_seed(0)
    net = MODELS["mobilenet_v2_edge"]((16, 16, 3), 3, 0.25)
    pointwise = [layer for layer in kernel_layers(net) if layer.name != "stem" and layer.name.endswith(("d", "t"))]
    pointwise = [layer for layer in pointwise if getattr(layer, "kernel_size", None) == (1, 1)]
    for layer in pointwise:
        layer.kernel.assign(layer.kernel * (np.random.default_rng(0).random(layer.kernel.shape) < 0.2))
    found = rows(net, tmp_path / "model.tflite")
    assert sum(row["sparse"] for row in found.values()) == len(pointwise) == 35


@pytest.mark.parametrize(("block", "sparse"), [(4, True), (1, False)])
def test_dense_layers_want_blocks(tmp_path, block, sparse):
    net = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(64, name="wide"), layers.Dense(3)])
    kernel = net.get_layer("wide").kernel
    kept = np.random.default_rng(0).random((64 // block, 64)) < 0.15
    kernel.assign(kernel * np.repeat(kept, block, axis=0))
    found = rows(net, tmp_path / "model.tflite")["wide"]
    assert found["sparse"] == sparse
    assert sparse or "its zeros are scattered" in found["why"][0]
    dense = rows(net, tmp_path / "model.tflite", "float32")["wide"]
    assert "its kernel is stored dense" in dense["why"][0]


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "model.tflite"
    whole = convert(cluster(), "float32")
    for content in (b"", b"no model", b"\0\0\0\0TFL3" + bytes(20), whole[:60], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(Refusal, match=r"expected a \.tflite file; got"):
            lint.lint(path)
