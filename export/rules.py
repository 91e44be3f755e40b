"""What compaction knows of each kind of layer: which channels are constant, which are read, how it is built smaller.

A channel is constant where it has one value at all positions of all images; constants are float64 [channels], NaN for
channels that are not.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from export.graph import ALWAYS, ELEMENTWISE, NEVER, SOMETIMES, affine, is_batch_norm
from robust_tf.models.channels import ChannelGather, ChannelShuffle, ChannelSlice

layers = keras.layers


class Held(NamedTuple):
    """A tensor of the smaller net and, for each of its channels, the channel of the larger net that it is."""

    x: object
    order: np.ndarray


@dataclass(frozen=True)
class Rule:
    """A kind of layer.

    constants(node, sources) -> constants of its output, from those of what it reads.
    needed(node, need, own, sources) -> for each of what it reads, the channels that must be there: bool [channels].
      need: those of its output that must be there; own, sources: constants.
    built(node, need, own, held, sources) -> the `Held` output, with at least the needed channels; held: what it reads,
      None where nothing of it is needed.
    """

    constants: callable
    needed: callable
    built: callable


def gathered(held, order):
    """The tensor with exactly the channels `order`, in that order."""
    if np.array_equal(held.order, order):
        return held.x
    place = {channel: i for i, channel in enumerate(held.order)}
    return ChannelGather([place[channel] for channel in order])(held.x)


def layer_like(node, **changed):
    return node.Layer.from_config({**node.config, "name": node.name, **changed})


# Convolutions and dense layers.


def meets(node, c):
    """(reads, fixed) [in, out]: whether an output depends on an input, and whether what it adds is a known constant.

    A constant c_i adds the sum of its weights times c_i, at every position alike, where no tap that sometimes falls on
    padding has a weight.
    """
    reads = (node.W[node.inside > NEVER] != 0).any(0) & (c != 0)[:, None]
    fixed = ~np.isnan(c)[:, None] & ~(node.W[node.inside == SOMETIMES] != 0).any(0)
    return reads, fixed


def sums(node, c):
    """What constants add to the pre-activation [in, out]; 0 for inputs that are not constant."""
    return node.W[node.inside == ALWAYS].sum(0) * np.nan_to_num(c)[:, None]


def activated(node, z):
    return node.activation(tf.constant(z)).numpy()


def linear_constants(node, sources):
    (c,) = sources
    reads, fixed = meets(node, c)
    return np.where((~reads | fixed).all(0), activated(node, node.b + sums(node, c).sum(0)), np.nan)


def linear_needed(node, need, own, sources):
    (c,) = sources
    reads, fixed = meets(node, c)
    varies = need & np.isnan(own)  # a constant output is a bias and reads nothing
    needed = (reads & ~fixed)[:, varies].any(1)
    needed[0] |= not needed.any()  # a layer of no inputs is none
    return [needed]


def linear_built(node, need, own, held, sources):
    ((x, order),), (c,) = held, sources
    out = np.flatnonzero(need)
    constant = ~np.isnan(own[out])
    gone = np.setdiff1d(np.arange(len(c)), order)
    W, added = node.W[:, order][:, :, out], sums(node, c)[:, out]
    b = node.b[out] + np.where(constant, added.sum(0), added[gone].sum(0))
    W = np.where(constant, 0.0, W)
    dense = issubclass(node.Layer, layers.Dense)
    size = {"units" if dense else "filters": len(out)}
    layer = layer_like(node, use_bias=True, activation=node.activation, **size)
    y = layer(x)
    layer.set_weights([W.reshape(layer.kernel.shape), b])
    return Held(y, out)


# One channel to one, or to `multiplier`.


def depthwise_constants(node, sources):
    (c,) = sources
    z = node.b.reshape(len(c), -1) + sums(node, c)  # [in, multiplier]
    reads, fixed = meets(node, c)
    return np.where(~reads | fixed, activated(node, z), np.nan).ravel()


def depthwise_needed(node, need, own, sources):
    return [need.reshape(len(sources[0]), -1).any(1)]


def depthwise_built(node, need, own, held, sources):
    ((x, order),) = held
    multiplier = node.W.shape[-1]
    out = (order[:, None] * multiplier + np.arange(multiplier)).ravel()
    layer = layer_like(node, use_bias=True, activation=node.activation)
    y = layer(x)
    layer.set_weights([node.W[:, order].reshape(layer.depthwise_kernel.shape), node.b[out]])
    return Held(y, out)


def one_to_one(node, need, own, sources):
    return [need]


def scaled_built(node, need, own, held, sources):
    """A layer whose weights, or lists of numbers, are one a channel."""
    ((x, order),) = held
    part = {
        name: list(np.asarray(node.config[name])[order])
        for name in ("scale", "offset")
        if np.size(node.config.get(name)) == len(sources[0]) > 1
    }
    layer = layer_like(node, **part)
    y = layer(x)
    layer.set_weights([w[order] for w in node.weights])
    return Held(y, order)


def through(node, sources):
    """The layer itself, of constants."""
    (c,) = sources
    return np.where(np.isnan(c), np.nan, layer_like(node)(tf.constant(np.nan_to_num(c)[None]))[0])


def batch_norm_constants(node, sources):
    scale, shift = affine(node)
    return scale * sources[0] + shift


def unchanged(node, sources):
    return sources[0]


def padding_constants(node, sources):
    return np.where(sources[0] == 0, 0.0, np.nan)


# Layers that join, part or move channels.


def sum_constants(node, sources):
    return np.sum(sources, axis=0)


def sum_needed(node, need, own, sources):
    """Nothing of a term that is zero in all channels that count; one term stays."""
    zero = [bool((c[need] == 0).all()) for c in sources]
    zero[0] &= not all(zero)
    return [need & (not nothing) for nothing in zero]


def sum_built(node, need, own, held, sources):
    terms = [each for each, c in zip(held, sum_needed(node, need, own, sources)) if c.any()]
    order = np.array([channel for channel in terms[0].order if need[channel]])
    x = [gathered(each, order) for each in terms]
    return Held(layer_like(node)(x) if len(x) > 1 else x[0], order)


def joined_constants(node, sources):
    return np.concatenate(sources)


def joined_needed(node, need, own, sources):
    return np.split(need, np.cumsum([len(c) for c in sources])[:-1])


def joined_built(node, need, own, held, sources):
    starts = np.cumsum([0, *(len(c) for c in sources[:-1])])
    parts = [(start + each.order, each.x) for start, each in zip(starts, held) if each is not None]
    x = [part for _, part in parts]
    return Held(layer_like(node)(x) if len(x) > 1 else x[0], np.concatenate([order for order, _ in parts]))


def span(node):
    return slice(node.config["start"], node.config["stop"])


def part_constants(node, sources):
    return sources[0][span(node)]


def part_needed(node, need, own, sources):
    needed = np.zeros(len(sources[0]), bool)
    needed[span(node)] = need
    return [needed]


def part_built(node, need, own, held, sources):
    start = node.config["start"]
    order = np.array([c for c in held[0].order if start <= c < node.config["stop"] and need[c - start]])
    return Held(gathered(held[0], order), order - start)


def shuffle(node, channels):
    """[out]: the input channel that each output channel is."""
    return np.arange(channels).reshape(node.config["groups"], -1).T.ravel()


def shuffled_constants(node, sources):
    return sources[0][shuffle(node, len(sources[0]))]


def shuffled_needed(node, need, own, sources):
    needed = np.empty_like(need)
    needed[shuffle(node, len(need))] = need
    return [needed]


def shuffled_built(node, need, own, held, sources):
    """No layer: the channels have other names."""
    ((x, order),) = held
    return Held(x, np.argsort(shuffle(node, len(need)))[order])


def flat_constants(node, sources):
    return np.tile(sources[0], node.shape[0] // len(sources[0]))


def flat_needed(node, need, own, sources):
    return [need.reshape(-1, len(sources[0])).any(0)]


def flat_built(node, need, own, held, sources):
    ((x, order),) = held
    positions = np.arange(node.shape[0] // len(sources[0]))
    return Held(layer_like(node)(x), (positions[:, None] * len(sources[0]) + order).ravel())


# Any other layer keeps all channels.


def whole_constants(node, sources):
    return np.full(node.shape[-1], np.nan)


def whole_needed(node, need, own, sources):
    return [np.ones(len(c), bool) for c in sources]


def whole_built(node, need, own, held, sources):
    layer, whole = layer_like(node), [gathered(each, np.arange(len(c))) for each, c in zip(held, sources)]
    y = layer(whole if len(whole) > 1 else whole[0])
    layer.set_weights(node.weights)
    return Held(y, np.arange(node.shape[-1]))


WHOLE = Rule(whole_constants, whole_needed, whole_built)
LINEAR = Rule(linear_constants, linear_needed, linear_built)
DEPTHWISE = Rule(depthwise_constants, depthwise_needed, depthwise_built)
POINTWISE = Rule(through, one_to_one, scaled_built)
POOLED = Rule(unchanged, one_to_one, scaled_built)
RULES = {
    layers.ReLU: POINTWISE,
    layers.LeakyReLU: POINTWISE,
    layers.Rescaling: POINTWISE,
    layers.Dropout: POOLED,
    layers.MaxPooling2D: POOLED,
    layers.AveragePooling2D: POOLED,
    layers.GlobalAveragePooling2D: POOLED,
    layers.GlobalMaxPooling2D: POOLED,
    layers.ZeroPadding2D: Rule(padding_constants, one_to_one, scaled_built),
    layers.Add: Rule(sum_constants, sum_needed, sum_built),
    layers.Concatenate: Rule(joined_constants, joined_needed, joined_built),
    layers.Flatten: Rule(flat_constants, flat_needed, flat_built),
    ChannelSlice: Rule(part_constants, part_needed, part_built),
    ChannelShuffle: Rule(shuffled_constants, shuffled_needed, shuffled_built),
}


def rule(node):
    """The Rule of a node; WHOLE where its layer, or how it is set up, is none that compaction knows."""
    if node.W is not None:
        return DEPTHWISE if node.depthwise else LINEAR
    if is_batch_norm(node):
        return Rule(batch_norm_constants, one_to_one, scaled_built)
    if node.Layer is layers.Activation:
        return POINTWISE if keras.activations.get(node.config["activation"]) in ELEMENTWISE else WHOLE
    last = node.config.get("axis", -1) in (-1, len(node.shape))
    return RULES.get(node.Layer, WHOLE) if last and node.config.get("data_format") != "channels_first" else WHOLE
