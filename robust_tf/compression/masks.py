"""Masks that keep zeros at zero while a net trains on: tensorflow-model-optimization's pruning wrappers.

The wrapper multiplies a kernel by its mask at every forward pass. Its own schedule never runs: the masks are ours.
"""

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from robust_tf.models.kernels import is_depthwise, kernel_layers


class Never(tfmot.sparsity.keras.PruningSchedule):
    """A schedule that leaves the masks alone."""

    def __call__(self, step):
        return (tf.constant(False), tf.constant(0.0))

    def get_config(self):
        return {"class_name": type(self).__name__, "config": {}}


def wrap(net):
    """A twin of `net` that shares its weights and holds the support of every kernel, W != 0, in masks.

    Train it with `tfmot.sparsity.keras.UpdatePruningStep`; read the result from `net` after `apply`.
    """
    prunable = {id(layer) for layer in kernel_layers(net)}

    def wrapped(layer):
        if id(layer) not in prunable:
            return layer
        if is_depthwise(layer):  # the library leaves depthwise kernels alone unless told which weights to prune
            layer.get_prunable_weights = lambda: [layer.depthwise_kernel]
        return tfmot.sparsity.keras.prune_low_magnitude(layer, Never())

    twin = keras.models.clone_model(net, clone_function=wrapped)
    for kernel, mask in pairs(twin):
        mask.assign(tf.cast(kernel != 0, mask.dtype))
    return twin


def pairs(twin):
    """(kernel, mask) of every wrapped layer."""
    wrapped = [layer for layer in twin.layers if hasattr(layer, "pruning_vars")]
    return [(kernel, mask) for layer in wrapped for kernel, mask, _ in layer.pruning_vars]


def apply(twin):
    """W <- W * mask: after an optimiser step, before the weights are read."""
    for kernel, mask in pairs(twin):
        kernel.assign(kernel * mask)
