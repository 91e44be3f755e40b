"""The net of a file as its own Keras computes it, for the comparison with the converted net.

Only files whose configuration `inspect` has accepted get here.
"""

import os
import zipfile

import numpy as np
import tensorflow as tf
import tf_keras

from robust_tf.models.imported.convert import named
from robust_tf.refusal import Refusal

TOLERANCE = 1e-3  # of the largest logit, for float32
LOW_PRECISION = 0.05  # for nets that compute in 16 bits
LEAST = 0.01  # logits of an untrained net may be smaller
SMALLEST = 1e-30  # smaller probabilities are rounded


def load(source):
    """The net, loaded by the Keras that wrote it, in its safe mode.

    Of a SavedModel Keras builds the net from its configuration and reads its checkpoint; the graph, which may hold any
    operation, is left alone.
    """
    path = source.path
    if path.is_dir():
        net = tf_keras.layers.deserialize(source.config)
        net.load_weights(str(path / "variables" / "variables")).assert_existing_objects_matched()
        return net
    if source.version == 3:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import keras

        return keras.models.load_model(path, compile=False, safe_mode=True)
    options = {"safe_mode": True} if path.suffix == ".keras" else {}
    return tf_keras.models.load_model(path, compile=False, **options)


def images(shape, most=(1.0, 255.0)):
    """Random images [8, H, W, C], half of them in [0, 1], half in [0, 255]."""
    generator = np.random.default_rng(0)
    return np.concatenate([generator.random((4, *shape), np.float32) * each for each in most])


def check_equal(source, net, head):
    """Raises Refusal unless the converted `net` computes the logits of the file's net on random images.

    Args:
      source: files.Source.
      head: "softmax" or "sigmoid" where the file's net ends with it and `net` without; "" where both give logits.
    Returns:
      the largest difference, relative to the largest logit.
    """
    x = images(net.input_shape[1:])
    x = np.round(x) if source.dtype.is_integer else x
    try:
        original = load(source)
        inputs = tf.constant(x)
        if source.net.kind != "Sequential":  # of a functional net it may be in a dict
            inputs = tf.nest.map_structure(lambda _: tf.constant(x), original.input)
        (expected,) = tf.nest.flatten(original(inputs, training=False))
        expected = np.asarray(expected, np.float64)
    except Exception as error:  # Keras raises many types
        operations = [step.layer for step in source.steps if step.layer.kind.startswith("op:")]
        if operations and source.version == 3 and not zipfile.is_zipfile(source.path):
            raise Refusal(
                f"{source.path}: expected a .keras file, as Keras 3 does not read operations back from an .h5 file; got"
                f" {operations[0].name} ({named(operations[0].kind)})"
            ) from error
        raise Refusal(f"{source.path}: expected a net that Keras loads; got {reason(error, source)}") from error
    z = np.asarray(net(x, training=False), np.float64)
    if expected.shape != z.shape:
        raise Refusal(f"{source.path}: expected outputs {z.shape[1:]} of the net; got {expected.shape[1:]}")
    if not (np.isfinite(expected).all() and np.isfinite(z).all()):
        raise Refusal(f"{source.path}: expected a net with finite outputs; got NaN or infinity on random images")
    if head:  # probabilities; their logarithms are compared, since probabilities near 0 and 1 hide differences
        with np.errstate(divide="ignore"):
            given, ours = np.log(expected), log_probabilities(z, head)
        compared = expected > SMALLEST
        given, ours = given[compared], ours[compared]
    else:
        given, ours = expected, z
    low = "float16" in source.dtype.name or any(
        "float16" in str(step.layer.config.get("dtype")) for step in source.steps
    )
    difference = float(np.abs(given - ours).max() / max(np.abs(z).max(), LEAST))
    if difference > (LOW_PRECISION if low else TOLERANCE):
        raise Refusal(
            f"{source.path}: expected the converted net to compute what the file's net does; got a difference of"
            f" {difference:.2g} of the largest logit on random images"
        )
    return difference


def reason(error, source):
    """The beginning of Keras' message, and first the layer that it names, which is often far behind."""
    text = " ".join(str(error).split())
    layers = [step.layer.name for step in source.steps if f"'{step.layer.name}'" in text]
    return f"{'at ' + layers[0] + ', ' if layers else ''}{type(error).__name__}: {text[:200]}"


def log_probabilities(z, head):
    """log softmax(z), or log sigmoid(z)."""
    if head == "sigmoid":
        return -np.logaddexp(0, -z)
    shifted = z - z.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
