"""Which weights of a net are kernels: the convolution and dense weights that pruning may zero."""

import math

import tf_keras as keras


def scaled(units, width):
    """units * width rounded down, at least 1: the width multiplier."""
    return max(1, int(units * width + 1e-6))  # 0.29 * 100 is a little less than 29


def kernel_layers(net):
    """Layers of `net` that own a kernel, in forward order."""
    owners = keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense
    transposed = keras.layers.Conv2DTranspose  # Keras' subclass of Conv2D, with the kernel [h, w, out, in]
    return [layer for layer in net.layers if isinstance(layer, owners) and not isinstance(layer, transposed)]


def is_depthwise(layer):
    return isinstance(layer, keras.layers.DepthwiseConv2D)


def kernel_of(layer):
    """The kernel variable: conv [h, w, in, out], dense [in, out], depthwise [h, w, in, multiplier]."""
    return layer.depthwise_kernel if is_depthwise(layer) else layer.kernel


def kernels(net):
    """Kernel variables of `net` in forward order."""
    return [kernel_of(layer) for layer in kernel_layers(net)]


def multiply_adds(net):
    """Layer name -> multiply-adds of its kernel for one image: each weight once per output position."""
    places = {layer.name: math.prod(layer.output_shape[1:-1]) for layer in kernel_layers(net)}
    return {layer.name: places[layer.name] * count([kernel_of(layer)]) for layer in kernel_layers(net)}


def count(W):
    """The number of weights of all kernels W."""
    return sum(w.shape.num_elements() for w in W)
