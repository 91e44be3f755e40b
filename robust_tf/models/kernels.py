"""Which weights of a net are kernels: the convolution and dense weights that pruning may zero."""

import tf_keras as keras


def scaled(units, width):
    """round(units * width), at least 1: the width multiplier."""
    return max(1, round(units * width))


def kernel_layers(net):
    """Layers of `net` that own a kernel, in forward order."""
    return [layer for layer in net.layers if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)]


def kernels(net):
    """Kernel variables of `net` in forward order: conv [h, w, in, out], dense [in, out]."""
    return [layer.kernel for layer in kernel_layers(net)]
