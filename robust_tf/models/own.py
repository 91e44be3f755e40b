"""The user's own net, from package.module:function, and the checks that it must pass."""

import importlib
import os
import sys
import tempfile

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.models.kernels import kernel_layers
from robust_tf.refusal import Refusal


def import_own(address):
    """The function at `address`, package.module:function; searches the current folder too. Raises Refusal."""
    module, _, name = address.partition(":")
    if os.getcwd() not in sys.path:  # installed commands do not search it
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        raise Refusal(
            f"--model={address}: expected an importable package.module:function; got {type(error).__name__}: {error}"
        ) from error
    if not callable(function):
        raise Refusal(f"--model={address}: expected a function; got {type(function).__name__}")
    return function


def own_net(address, input_shape, num_classes):
    """The net function(input_shape, num_classes); raises Refusal unless this project can train it."""
    function = import_own(address)
    try:
        net = function(input_shape, num_classes)
    except (Exception, SystemExit) as error:
        raise Refusal(
            f"--model={address}: expected a net for images {input_shape} and {num_classes} classes; got"
            f" {type(error).__name__}: {error}"
        ) from error
    check(net, f"--model={address}", input_shape, num_classes)
    return net


def refusing(name):
    """refuse(expected, got), which raises a Refusal about `name`."""

    def refuse(expected, got):
        raise Refusal(f"{name}: expected {expected}; got {got}")

    return refuse


def check_flat(net, refuse):
    """Refuses anything but a functional or sequential tf_keras model that is built and has no models inside."""
    if not isinstance(net, keras.Model):
        refuse("a tf_keras model", f"{type(net).__module__}.{type(net).__name__}")
    if not isinstance(net, keras.Sequential) and not net._is_graph_network:
        refuse("a functional or sequential model", f"a subclass, {type(net).__name__}")
    nested = [layer.name for layer in net.layers if isinstance(layer, keras.Model)]
    if nested:
        refuse("a net without nested models", nested[0])
    if not net.built:
        refuse("a net with an input shape", "none")
    for what, shape, axes in (("images (None, height, width, channels)", net.input_shape, 4),
                              ("logits (None, classes)", net.output_shape, 2)):  # fmt: skip
        if not isinstance(shape, tuple) or len(shape) != axes:
            refuse(what, shape)


def check_logits(net, refuse):
    """Refuses a net whose last layer makes probabilities."""
    last = net.layers[-1]
    makers = (keras.activations.softmax, keras.activations.sigmoid)
    if isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) in makers:
        refuse("logits", "probabilities: remove the softmax or sigmoid")


def check(net, name, input_shape, num_classes):
    """Raises Refusal unless `net` is a flat, built tf_keras model with kernels, images -> logits [B, num_classes].

    name: of what gave the net, for the message.
    """
    refuse = refusing(name)
    check_flat(net, refuse)
    if net.input_shape != (None, *input_shape):
        refuse(f"images of shape {(None, *input_shape)}", net.input_shape)
    if net.output_shape != (None, num_classes):
        refuse(f"logits of shape {(None, num_classes)}", net.output_shape)
    twice = [entry["name"] for entry in functional(net).get_config()["layers"] if len(entry["inbound_nodes"]) > 1]
    if twice:
        refuse("layers that are called once", f"{twice[0]}, called more than once")
    if not kernel_layers(net):
        refuse("convolution or dense layers", "none")
    unknown = [layer for layer in net.layers if layer not in kernel_layers(net) and has_matrix(layer)]
    if unknown:
        refuse(
            "kernels only in Conv2D, DepthwiseConv2D and Dense layers, which are counted and pruned",
            f"{unknown[0].name} ({type(unknown[0]).__name__})",
        )
    grouped = [layer for layer in kernel_layers(net) if getattr(layer, "groups", 1) > 1]
    if grouped:
        refuse("convolutions of one group", f"{grouped[0].name} with {grouped[0].groups} groups")
    other = [layer for layer in net.layers if layer.compute_dtype != "float32" and layer.weights]
    if other:
        refuse("float32 layers", f"{other[0].name} in {other[0].compute_dtype}")
    check_outputs(net, input_shape, refuse)
    check_saves(net, refuse)


def functional(net):
    return keras.Model(net.inputs, net.outputs)


def has_matrix(layer):
    """Whether a layer has trainable weights with two or more axes of more than one entry."""
    return any(sum(size > 1 for size in w.shape) > 1 for w in layer.trainable_weights)


def check_outputs(net, input_shape, refuse):
    """Refuses outputs that are not logits, or have no gradient."""
    x = tf.constant(np.random.default_rng(0).random((8, *input_shape), np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = net(x, training=False)
    check_logits(net, refuse)
    if are_probabilities(z):
        refuse("logits", "probabilities: remove the softmax or sigmoid")
    if tape.gradient(z, x) is None:
        refuse("logits with a gradient", "none with respect to the image")


def check_saves(net, refuse):
    """Refuses a net that Keras cannot save and read back in its safe mode, as every later command does."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.keras")
        try:
            net.save(path)
            keras.models.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises many types
            refuse(
                "a net that Keras saves and reads back (layers of your own with get_config and"
                " @keras.saving.register_keras_serializable(), no Lambda)",
                f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
            )


def are_probabilities(z):
    """Whether all rows of z [B, K] are non-negative and sum to one."""
    sums = tf.reduce_sum(z, -1)
    return bool(tf.reduce_all(z >= 0)) and bool(tf.reduce_all(tf.abs(sums - 1) < 1e-3))
