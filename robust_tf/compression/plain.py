"""Nets whose layers compute with a kernel made of other variables, ATMC's factors or HYDRA's scores, as plain nets.

Such a layer has `used_kernel()` -> the kernel that it computes with, and the class attribute PLAIN: the Keras layer for
which it stands.
"""

import tf_keras as keras

from robust_tf.models.kernels import kernel_of


def is_plain(layer):
    return not hasattr(layer, "used_kernel")


def used_kernel(layer):
    """The kernel that the layer computes with."""
    return kernel_of(layer) if is_plain(layer) else layer.used_kernel()


def plain(net):
    """The net of plain layers that computes the same now; it shares no variables with `net`."""

    def twin(layer):
        Plain = type(layer) if is_plain(layer) else layer.PLAIN
        return Plain.from_config(layer.get_config())

    found = keras.models.clone_model(net, clone_function=twin)
    write(net, found)
    return found


def write(net, target):
    """Assigns the weights of `target`, which has plain layers, from `net`; works in a graph too."""
    for layer, counterpart in zip(net.layers, target.layers):
        weights = layer.weights
        if not is_plain(layer):
            weights = [layer.used_kernel(), *([layer.bias] if layer.use_bias else [])]
        for w, value in zip(counterpart.weights, weights):
            w.assign(value)
