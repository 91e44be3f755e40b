"""The rules of compaction for each kind of layer: which channels are constant, which are needed, how to rebuild it.

A channel is constant if it has the same value at all positions of all images. Constants are float64 [channels], NaN for
channels that are not constant.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.export.graph import ALWAYS, ELEMENTWISE, NEVER, SOMETIMES, affine, is_batch_norm
from robust_tf.models.channels import ChannelGather, ChannelShuffle, ChannelSlice

layers = keras.layers


class Channels(NamedTuple):
    """A tensor x of the smaller net; order [channels]: the channel of the original net that each of its channels is."""

    x: object
    order: np.ndarray


@dataclass(frozen=True)
class Rule:
    """The rules of one kind of layer.

    constants(node, sources) -> constants of the output; sources: those of each input.
    needed(node, need, own, sources) -> which channels of each input are needed: a list of bool [channels].
      need: which output channels are needed, bool [channels]; own, sources: constants of the output and of each input.
    built(node, need, own, inputs, sources) -> the output as `Channels`, with at least the needed channels.
      inputs: the `Channels` of each input, None where no channel of it is needed.
    """

    constants: callable
    needed: callable
    built: callable


def gathered(channels, order):
    """The tensor with exactly the channels `order`, in that order."""
    if np.array_equal(channels.order, order):
        return channels.x
    position = {channel: i for i, channel in enumerate(channels.order)}
    return ChannelGather([position[channel] for channel in order])(channels.x)


def layer_like(node, **changed):
    return node.Layer.from_config({**node.config, "name": node.name, **changed})


# Convolutions and dense layers.


def dependence(node, c):
    """(reads, fixed) [in, out]: whether an input affects an output, and whether its contribution is a known constant.

    A constant input c_i contributes c_i times the sum of its weights. This is the same at every position only if the
    weights of all taps that sometimes read padding are zero.
    """
    reads = (node.W[node.inside > NEVER] != 0).any(0) & (c != 0)[:, None]
    fixed = ~np.isnan(c)[:, None] & ~(node.W[node.inside == SOMETIMES] != 0).any(0)
    return reads, fixed


def contributions(node, c):
    """What constant inputs add to the pre-activation [in, out]; 0 for inputs that are not constant."""
    return node.W[node.inside == ALWAYS].sum(0) * np.nan_to_num(c)[:, None]


def activated(node, z):
    return node.activation(tf.constant(z)).numpy()


def linear_constants(node, sources):
    (c,) = sources
    reads, fixed = dependence(node, c)
    return np.where((~reads | fixed).all(0), activated(node, node.b + contributions(node, c).sum(0)), np.nan)


def linear_needed(node, need, own, sources):
    (c,) = sources
    reads, fixed = dependence(node, c)
    varies = need & np.isnan(own)  # a constant output becomes a bias and needs no input
    needed = (reads & ~fixed)[:, varies].any(1)
    needed[0] |= not needed.any()  # a layer needs at least one input
    return [needed]


def linear_built(node, need, own, inputs, sources):
    ((x, order),), (c,) = inputs, sources
    out = np.flatnonzero(need)
    constant = ~np.isnan(own[out])
    removed = np.setdiff1d(np.arange(len(c)), order)
    W, added = node.W[:, order][:, :, out], contributions(node, c)[:, out]
    b = node.b[out] + np.where(constant, added.sum(0), added[removed].sum(0))
    W = np.where(constant, 0.0, W)
    dense = issubclass(node.Layer, layers.Dense)
    size = {"units" if dense else "filters": len(out)}
    layer = layer_like(node, use_bias=True, activation=node.activation, **size)
    y = layer(x)
    layer.set_weights([W.reshape(layer.kernel.shape), b])
    return Channels(y, out)


# Layers that map each channel to one channel, or to `multiplier` channels.


def depthwise_constants(node, sources):
    (c,) = sources
    z = node.b.reshape(len(c), -1) + contributions(node, c)  # [in, multiplier]
    reads, fixed = dependence(node, c)
    return np.where(~reads | fixed, activated(node, z), np.nan).ravel()


def depthwise_needed(node, need, own, sources):
    return [need.reshape(len(sources[0]), -1).any(1)]


def depthwise_built(node, need, own, inputs, sources):
    ((x, order),) = inputs
    multiplier = node.W.shape[-1]
    out = (order[:, None] * multiplier + np.arange(multiplier)).ravel()
    layer = layer_like(node, use_bias=True, activation=node.activation)
    y = layer(x)
    layer.set_weights([node.W[:, order].reshape(layer.depthwise_kernel.shape), node.b[out]])
    return Channels(y, out)


def one_to_one(node, need, own, sources):
    return [need]


def scaled_built(node, need, own, inputs, sources):
    """A layer with one weight, or one number of its configuration, per channel."""
    ((x, order),) = inputs
    part = {
        name: list(np.asarray(node.config[name])[order])
        for name in ("scale", "offset")
        if np.size(node.config.get(name)) == len(sources[0]) > 1
    }
    layer = layer_like(node, **part)
    y = layer(x)
    layer.set_weights([w[order] for w in node.weights])
    return Channels(y, order)


def pointwise_constants(node, sources):
    """The output of the layer itself for the constants."""
    (c,) = sources
    return np.where(np.isnan(c), np.nan, layer_like(node)(tf.constant(np.nan_to_num(c)[None]))[0])


def batch_norm_constants(node, sources):
    scale, shift = affine(node)
    return scale * sources[0] + shift


def unchanged(node, sources):
    return sources[0]


def padding_constants(node, sources):
    return np.where(sources[0] == 0, 0.0, np.nan)


# Layers that join, split or reorder channels.


def sum_constants(node, sources):
    return np.sum(sources, axis=0)


def sum_needed(node, need, own, sources):
    """A term that is zero in all needed channels is not needed; at least one term stays."""
    zero = [bool((c[need] == 0).all()) for c in sources]
    zero[0] &= not all(zero)
    return [need & (not is_zero) for is_zero in zero]


def sum_built(node, need, own, inputs, sources):
    terms = [term for term, c in zip(inputs, sum_needed(node, need, own, sources)) if c.any()]
    order = np.array([channel for channel in terms[0].order if need[channel]])
    x = [gathered(term, order) for term in terms]
    return Channels(layer_like(node)(x) if len(x) > 1 else x[0], order)


def concatenated_constants(node, sources):
    return np.concatenate(sources)


def concatenated_needed(node, need, own, sources):
    return np.split(need, np.cumsum([len(c) for c in sources])[:-1])


def concatenated_built(node, need, own, inputs, sources):
    starts = np.cumsum([0, *(len(c) for c in sources[:-1])])
    parts = [(start + part.order, part.x) for start, part in zip(starts, inputs) if part is not None]
    x = [part for _, part in parts]
    return Channels(layer_like(node)(x) if len(x) > 1 else x[0], np.concatenate([order for order, _ in parts]))


def span(node):
    return slice(node.config["start"], node.config["stop"])


def slice_constants(node, sources):
    return sources[0][span(node)]


def slice_needed(node, need, own, sources):
    needed = np.zeros(len(sources[0]), bool)
    needed[span(node)] = need
    return [needed]


def slice_built(node, need, own, inputs, sources):
    start = node.config["start"]
    order = np.array([c for c in inputs[0].order if start <= c < node.config["stop"] and need[c - start]])
    return Channels(gathered(inputs[0], order), order - start)


def shuffle(node, channels):
    """The input channel of each output channel [out]."""
    return np.arange(channels).reshape(node.config["groups"], -1).T.ravel()


def shuffle_constants(node, sources):
    return sources[0][shuffle(node, len(sources[0]))]


def shuffle_needed(node, need, own, sources):
    needed = np.empty_like(need)
    needed[shuffle(node, len(need))] = need
    return [needed]


def shuffle_built(node, need, own, inputs, sources):
    """Builds no layer: only the order of the channels changes."""
    ((x, order),) = inputs
    return Channels(x, np.argsort(shuffle(node, len(need)))[order])


def flatten_constants(node, sources):
    return np.tile(sources[0], node.shape[0] // len(sources[0]))


def flatten_needed(node, need, own, sources):
    return [need.reshape(-1, len(sources[0])).any(0)]


def flatten_built(node, need, own, inputs, sources):
    ((x, order),) = inputs
    positions = np.arange(node.shape[0] // len(sources[0]))
    return Channels(layer_like(node)(x), (positions[:, None] * len(sources[0]) + order).ravel())


# All other layers keep all channels.


def keep_all_constants(node, sources):
    return np.full(node.shape[-1], np.nan)


def keep_all_needed(node, need, own, sources):
    return [np.ones(len(c), bool) for c in sources]


def keep_all_built(node, need, own, inputs, sources):
    layer, x = layer_like(node), [gathered(each, np.arange(len(c))) for each, c in zip(inputs, sources)]
    y = layer(x if len(x) > 1 else x[0])
    layer.set_weights(node.weights)
    return Channels(y, np.arange(node.shape[-1]))


KEEP_ALL = Rule(keep_all_constants, keep_all_needed, keep_all_built)
LINEAR = Rule(linear_constants, linear_needed, linear_built)
DEPTHWISE = Rule(depthwise_constants, depthwise_needed, depthwise_built)
POINTWISE = Rule(pointwise_constants, one_to_one, scaled_built)
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
    layers.Concatenate: Rule(concatenated_constants, concatenated_needed, concatenated_built),
    layers.Flatten: Rule(flatten_constants, flatten_needed, flatten_built),
    ChannelSlice: Rule(slice_constants, slice_needed, slice_built),
    ChannelShuffle: Rule(shuffle_constants, shuffle_needed, shuffle_built),
}


def rule(node):
    """The Rule of a node; KEEP_ALL where compaction does not support the layer or its configuration."""
    if node.W is not None:
        return DEPTHWISE if node.depthwise else LINEAR
    if is_batch_norm(node):
        return Rule(batch_norm_constants, one_to_one, scaled_built)
    if node.Layer is layers.Activation:
        return POINTWISE if keras.activations.get(node.config["activation"]) in ELEMENTWISE else KEEP_ALL
    last = node.config.get("axis", -1) in (-1, len(node.shape))
    return RULES.get(node.Layer, KEEP_ALL) if last and node.config.get("data_format") != "channels_first" else KEEP_ALL
