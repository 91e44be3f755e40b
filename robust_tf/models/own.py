"""The user's own net, from package.module:function, and what it must be for the rest to work."""

import importlib
import os
import sys

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.models.kernels import kernels
from robust_tf.refusal import Refusal


def import_own(address):
    """The function at `address`, package.module:function, also from the current folder; raises Refusal."""
    module, _, name = address.partition(":")
    if os.getcwd() not in sys.path:  # installed commands do not look there
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # the user's module may raise anything
        raise Refusal(
            f"--model={address}: expected an importable package.module:function; got {type(error).__name__}: {error}"
        ) from error
    if not callable(function):
        raise Refusal(f"--model={address}: expected a function; got {type(function).__name__}")
    return function


def own_net(address, input_shape, num_classes):
    """function(input_shape, num_classes), checked; raises Refusal where it is no net that this project can train."""
    function = import_own(address)
    try:
        net = function(input_shape, num_classes)
    except Exception as error:
        raise Refusal(
            f"--model={address}: expected a net for images {input_shape} and {num_classes} classes; got"
            f" {type(error).__name__}: {error}"
        ) from error
    check(net, address, input_shape, num_classes)
    return net


def check(net, address, input_shape, num_classes):
    """Raises Refusal unless `net` is a flat, built tf_keras model with kernels, images -> logits [B, num_classes]."""

    def refuse(expected, got):
        raise Refusal(f"--model={address}: expected {expected}; got {got}")

    if not isinstance(net, keras.Model):
        refuse("a tf_keras model", f"{type(net).__module__}.{type(net).__name__}")
    if not isinstance(net, keras.Sequential) and not net._is_graph_network:
        refuse("a functional or sequential model", f"a subclass, {type(net).__name__}")
    nested = [layer.name for layer in net.layers if isinstance(layer, keras.Model)]
    if nested:
        refuse("a net of layers", f"a model within it, {nested[0]}")
    if not net.built or net.input_shape != (None, *input_shape):
        refuse(f"images of shape {(None, *input_shape)}", net.input_shape if net.built else "no input shape")
    if net.output_shape != (None, num_classes):
        refuse(f"logits of shape {(None, num_classes)}", net.output_shape)
    if not kernels(net):
        refuse("convolution or dense layers", "none")
    x = np.random.default_rng(0).random((8, *input_shape), np.float32)
    if are_probabilities(net(x, training=False)):
        refuse("logits", "probabilities: leave the softmax out")


def are_probabilities(z):
    """Whether all rows of z [B, K] are non-negative and sum to one."""
    sums = tf.reduce_sum(z, -1)
    return bool(tf.reduce_all(z >= 0)) and bool(tf.reduce_all(tf.abs(sums - 1) < 1e-3))
