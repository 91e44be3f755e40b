"""compact(net): a physically smaller net of the same function.

Gone are filters that nobody reads, inputs that no weight meets, filters of a constant output (their constant moves into
the bias of the next layer) and batch norm (into the layer before it). Nothing is approximated: a constant that meets
zero padding differs at the borders, so that its channel stays. Channels come and go whole: through Flatten one stays
where any of its places is read, and in a sum a term goes where all of it that counts is zero.
"""

import numpy as np
import tf_keras as keras

from export.graph import fold_batch_norm, merged, nodes_of, pairs, readers
from export.rules import Held, gathered, rule


def compact(net):
    """The smaller net; it shares nothing with `net`.

    Args:
      net: functional or sequential Keras net of one input and one output.

    Returns:
      Keras net of the same function in inference mode, up to float rounding; raises ValueError for a net that is not
      layers called once on tensors.
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
    """Name -> value of each channel that has one value everywhere, NaN for others [channels]."""
    found = {}
    for node in nodes.values():
        sources = [found[name] for name in node.sources]
        found[node.name] = rule(node).constants(node, sources)
    return found


def needed(nodes, constant, output):
    """Name -> the channels that must be there [channels]; those of the image and of the output are."""
    need = {name: np.zeros(len(c), bool) for name, c in constant.items()}
    need[output][:] = True
    for node in reversed(nodes.values()):
        if not node.sources:
            need[node.name][:] = True
            continue
        if not need[node.name].any():
            continue  # nobody reads it
        sources = [constant[name] for name in node.sources]
        parts = rule(node).needed(node, need[node.name], constant[node.name], sources)
        for name, part in zip(node.sources, parts):
            need[name] |= part
    return need


def merging_pays(first, second, need):
    """Whether one layer has no more multiply-adds than the two, at the size that is left of them."""
    inputs, rank, outputs = (int(need[name].sum()) for name in (first.sources[0], first.name, second.name))
    taps = len(first.W)
    return first.places * taps * inputs * outputs <= first.places * (taps * inputs * rank + rank * outputs)


def built(nodes, constant, need, output, name):
    """The Keras net of the nodes with at least the needed channels."""
    held = {}
    for node in nodes.values():
        if not node.sources:
            image = keras.Input(node.shape, name=node.name)
            held[node.name] = Held(image, np.arange(node.shape[-1]))
            continue
        if not need[node.name].any():
            held[node.name] = None
            continue
        sources = [constant[source] for source in node.sources]
        inputs = [held[source] for source in node.sources]
        held[node.name] = rule(node).built(node, need[node.name], constant[node.name], inputs, sources)
    logits = gathered(held[output], np.arange(nodes[output].shape[-1]))
    return keras.Model(image, logits, name=name)
