"""Faster forms of a net, with its variables and, up to rounding, its function."""

import collections

import tf_keras as keras

from robust_tf.models import folded, pooled

POOLED = pooled.fits, lambda conv, pool, name: pooled.PooledConv(conv, name)
FOLDED = folded.fits, folded.FoldedConv


def training_form(net):
    """`net` with convolution and max pooling fused; `net` itself if there is nothing to fuse."""
    return _fused(net, [POOLED])


def inference_form(net):
    """As `training_form`, and with batch norm folded into convolutions: the same function in inference mode only."""
    return _fused(net, [POOLED, FOLDED])


def _fused(net, kinds):
    """`net` with one layer in place of two in a row, for kinds (fits(first, second), Layer(first, second, name))."""
    plain = keras.Model(net.inputs, net.outputs)  # functional, even if `net` is sequential
    found, absorbed = {}, set()  # name of the first -> the layer that replaces both; names of the second
    for first, second in _pairs(plain):
        for fits, Layer in kinds:
            if fits(first, second):
                found[first.name] = Layer(first, second, f"{first.name}_and_{second.name}")
                absorbed.add(second.name)
    if not found:
        return net

    def replaced(layer):
        if layer.name in absorbed:  # the layers after it refer to this name
            return keras.layers.Activation("linear", name=layer.name)
        return found.get(layer.name, layer)

    return keras.models.clone_model(plain, clone_function=replaced)


def nodes_of(net):
    """The nodes (calls of layers) of a functional net, inputs first.

    A layer that several nets share, as in `compression.masks`, also has nodes of the other nets; they are left out.
    """
    return [node for depth in sorted(net._nodes_by_depth, reverse=True) for node in net._nodes_by_depth[depth]]


def _pairs(net):
    """Pairs of layers (first, second): only `second` reads the output of `first`, and reads nothing else."""
    nodes = nodes_of(net)
    uses = collections.Counter(node.layer.name for node in nodes)
    readers = collections.defaultdict(list)
    for node in nodes:
        for parent in node.parent_nodes:
            readers[parent].append(node)
    for first, (second, *others) in readers.items():
        alone = not others and len(second.parent_nodes) == 1 and first.layer.name not in net.output_names
        # Arguments of the call, such as training=True, may change the function.
        alone = alone and not any(given is not None for node in (first, second) for given in node.call_kwargs.values())
        if alone and uses[first.layer.name] == uses[second.layer.name] == 1:
            yield first.layer, second.layer
