"""Masks that keep zeros at zero during further training: tensorflow-model-optimization's pruning wrappers.

The wrapper multiplies a kernel by its mask at every forward pass. The library's pruning schedule is off; `wrap` sets
the masks.
"""

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from robust_tf.models.kernels import is_depthwise, kernel_layers


class Never(tfmot.sparsity.keras.PruningSchedule):
    """A pruning schedule that never changes the masks."""

    def __call__(self, step):
        return (tf.constant(False), tf.constant(0.0))

    def get_config(self):
        return {"class_name": type(self).__name__, "config": {}}


def wrap(net):
    """A copy of `net` that shares its weights and has the support of every kernel, W != 0, as its mask.

    Train it with `tfmot.sparsity.keras.UpdatePruningStep`; read the result from `net` after `apply`.
    """
    prunable = {id(layer) for layer in kernel_layers(net)}

    def wrapped(layer):
        if id(layer) not in prunable:
            return layer
        if is_depthwise(layer):  # the library skips depthwise kernels unless it is told which weights to prune
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
    """W <- W * mask; call it after an optimiser step, before the weights are read."""
    for kernel, mask in pairs(twin):
        kernel.assign(kernel * mask)
