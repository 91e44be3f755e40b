"""Forms of a net that compute the same function of the same variables faster, up to rounding."""

import collections

import tf_keras as keras

from robust_tf.models import folded, pooled

POOLED = pooled.fits, lambda conv, pool, name: pooled.PooledConv(conv, name)
FOLDED = folded.fits, folded.FoldedConv


def training_form(net):
    """A net of the same function, where `net` has a convolution and a pooling to fuse; else `net` itself.

    Gradients are equal but where values of a pooling window tie: here each gets its share, in Keras' pooling the first
    gets all.
    """
    return _in_one(net, [POOLED])


def inference_form(net):
    """As `training_form`, and of convolutions with batch norm too: the same function in inference mode only."""
    return _in_one(net, [POOLED, FOLDED])


def _in_one(net, kinds):
    """`net` with one layer for two in a row, for the kinds (fits(first, second), Layer(first, second, name))."""
    plain = keras.Model(net.inputs, net.outputs)  # functional, where it is sequential
    found, seconds = {}, set()  # name of the first -> the layer in its place
    for first, second in _pairs(plain):
        for fits, Layer in kinds:
            if fits(first, second):
                found[first.name] = Layer(first, second, f"{first.name}_and_{second.name}")
                seconds.add(second.name)
    if not found:
        return net

    def replaced(layer):
        if layer.name in seconds:  # a name that others have as their source
            return keras.layers.Activation("linear", name=layer.name)
        return found.get(layer.name, layer)

    return keras.models.clone_model(plain, clone_function=replaced)


def nodes_of(net):
    """The calls of layers that make up a functional net, inputs first: Keras' nodes.

    Its own: a layer that it shares with other nets, as masks' wrappers make them, has theirs too.
    """
    return [node for depth in sorted(net._nodes_by_depth, reverse=True) for node in net._nodes_by_depth[depth]]


def _pairs(net):
    """Layers (first, second) of which the first is read by the second alone and the second reads it alone."""
    nodes = nodes_of(net)
    uses = collections.Counter(node.layer.name for node in nodes)
    readers = collections.defaultdict(list)
    for node in nodes:
        for parent in node.parent_nodes:
            readers[parent].append(node)
    for first, (second, *others) in readers.items():
        alone = not others and len(second.parent_nodes) == 1 and first.layer.name not in net.output_names
        # A call with arguments, training=True for one, may be of another function.
        alone = alone and not any(given is not None for node in (first, second) for given in node.call_kwargs.values())
        if alone and uses[first.layer.name] == uses[second.layer.name] == 1:
            yield first.layer, second.layer
