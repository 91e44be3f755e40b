"""compact(net): an equivalent net without unused channels.

It removes filters whose output no layer uses, inputs whose weights are all zero, and filters with a constant output,
whose constant it adds to the bias of the next layer. It folds batch norm into the layer before. Nothing is
approximated: next to zero padding a constant has another effect at the borders, so such a channel stays. Channels are
removed as a whole: before Flatten a channel stays if any of its positions is used. A term of a sum is removed if it is
zero in all channels that are used.
"""

import numpy as np
import tf_keras as keras

from robust_tf.export.graph import fold_batch_norm, merged, nodes_of, pairs, readers
from robust_tf.export.rules import Channels, gathered, rule


def compact(net):
    """The smaller net, which shares no layer with `net`.

    Args:
      net: functional or sequential Keras net with one input and one output.

    Returns:
      Keras net that computes the same function in inference mode, up to float rounding.

    Raises ValueError where a layer is called twice, or with anything but tensors.
    """
    nodes = fold_batch_norm(nodes_of(net))
    (output,) = [name for name, read_by in readers(nodes).items() if not read_by]
    while True:
        constant = constants(nodes)
        need = needed(nodes, constant, output)
        fewer = [(first, second) for first, second in pairs(nodes) if merging_pays(first, second, need)]
        if not fewer:
            return built(nodes, constant, need, output, net.name)
        first, second = fewer[0]
        nodes = merged(nodes, first, second)


def constants(nodes):
    """{node name: the value of each constant channel, NaN for the others [channels]}."""
    found = {}
    for node in nodes.values():
        sources = [found[name] for name in node.sources]
        found[node.name] = rule(node).constants(node, sources)
    return found


def needed(nodes, constant, output):
    """{node name: which output channels are needed, bool [channels]}; the image and the output keep all channels."""
    need = {name: np.zeros(len(c), bool) for name, c in constant.items()}
    need[output][:] = True
    for node in reversed(nodes.values()):
        if not node.sources:
            need[node.name][:] = True
            continue
        if not need[node.name].any():
            continue  # no layer uses it
        sources = [constant[name] for name in node.sources]
        parts = rule(node).needed(node, need[node.name], constant[node.name], sources)
        for name, part in zip(node.sources, parts):
            need[name] |= part
    return need


def merging_pays(first, second, need):
    """Whether the product of two layers needs no more multiply-adds than both, counting only needed channels."""
    inputs, rank, outputs = (int(need[name].sum()) for name in (first.sources[0], first.name, second.name))
    taps = len(first.W)
    return first.places * taps * inputs * outputs <= first.places * (taps * inputs * rank + rank * outputs)


def built(nodes, constant, need, output, name):
    """The Keras net of the nodes, with at least the needed channels."""
    outputs = {}
    for node in nodes.values():
        if not node.sources:
            image = keras.Input(node.shape, name=node.name)
            outputs[node.name] = Channels(image, np.arange(node.shape[-1]))
            continue
        if not need[node.name].any():
            outputs[node.name] = None
            continue
        sources = [constant[source] for source in node.sources]
        inputs = [outputs[source] for source in node.sources]
        outputs[node.name] = rule(node).built(node, need[node.name], constant[node.name], inputs, sources)
    logits = gathered(outputs[output], np.arange(nodes[output].shape[-1]))
    return keras.Model(image, logits, name=name)
