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


def shortcuts(net):
    """Indices of kernels whose outputs are added: those of a shortcut and of the last layer of its block, as tuples.

    Only layers with one input and without a kernel, such as batch norm, may stand between a kernel and the sum. A
    shortcut without a kernel adds the output of an earlier layer, which is no layer beside the block.
    """
    indices = {layer.name: i for i, layer in enumerate(kernel_layers(net))}
    found = []
    for layer in net.layers:
        if isinstance(layer, keras.layers.Add):
            ends = [end for end in (kernel_before(each, indices) for each in inputs_of(layer)) if end is not None]
            beside = [end for end in ends if not any(end in upstream(other) for other in ends)]
            if len(ends) > 1 and len(beside) == len(ends):
                found.append(tuple(sorted(indices[end.name] for end in ends)))
    return tuple(found)


def kernel_before(layer, indices):
    """The layer with a kernel whose output alone reaches the output of `layer`; None if there is none."""
    while layer.name not in indices:
        before = inputs_of(layer)
        if len(before) != 1:
            return None
        (layer,) = before
    return layer


def upstream(layer):
    """The layers that `layer` depends on."""
    found, new = [], inputs_of(layer)
    while new:
        before = new.pop()
        if before not in found:  # it may be reached on several paths
            found.append(before)
            new += inputs_of(before)
    return found


def inputs_of(layer):
    """The layers whose outputs a layer of a functional net takes."""
    tensors = layer.input if isinstance(layer.input, list) else [layer.input]
    return [tensor.node.layer for tensor in tensors if tensor.node.layer is not layer]
