"""The first convolution on grey images with columns of pixels as channels: the same function in full kernels.

A kernel of a file takes 8 integers of an input's channels at a time, of which a grey image fills one. Here p
neighbouring columns of the image become its p channels, which is a change of shape alone, and the convolution yields p
neighbouring outputs at once, which another change of shape lays side by side again:

    y[i, p X + q, o] = sum_{s, T, r} W[s, T, r, (q, o)] x'[i + s, X + T, r]

with x'[i, X, r] = x[i, p X + r] and W[s, T, r, (q, o)] = w[s, p T + r - q, o], which is 0 outside of w.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from export.graph import ELEMENTWISE, nodes_of
from export.rules import layer_like

layers = keras.layers
MOST_COLUMNS = 8  # channels that an integer kernel takes at a time


def columns_as_channels(net):
    """`net` with its first convolution so; `net` itself where that does not fit.

    It fits where the image has one channel, the convolution neither padding nor strides, and some number of columns, at
    most 8, divides the widths of the image and of the output.

    Args:
      net: functional Keras net.

    Returns:
      Keras net of the same function; it shares nothing with `net`.
    """
    conv = next((layer for layer in net.layers if isinstance(layer, layers.Conv2D)), None)
    p = number_of_columns(conv) if conv is not None else 1
    if p == 1:
        return net
    height, width, _ = conv.input_shape[1:]
    out_height, out_width, filters = conv.output_shape[1:]
    W = packed(conv.kernel.numpy(), p)
    made = {}
    for node in nodes_of(net).values():
        inputs = [made[name] for name in node.sources]
        if not inputs:
            made[node.name] = image = keras.Input(node.shape, name=node.name)
            continue
        if node.name == conv.name:
            x = Reshaped((height, width // p, p), name="columns")(inputs[0])
            wide = layer_like(node, filters=p * filters, kernel_size=W.shape[:2])
            x = wide(x)
            wide.set_weights([W, *([np.tile(conv.bias, p)] if conv.use_bias else [])])
            made[node.name] = Reshaped((out_height, out_width, filters), name="side_by_side")(x)
            continue
        layer = layer_like(node)
        made[node.name] = layer(inputs if len(inputs) > 1 else inputs[0])
        layer.set_weights(node.weights)
    return keras.Model(image, made[node.name], name=net.name)


@keras.saving.register_keras_serializable("robust_tf")
class Reshaped(layers.Layer):
    """As Keras' Reshape, but that asks for the batch's size at run time: XNNPACK would leave it to others."""

    def __init__(self, shape, **kwargs):
        super().__init__(**kwargs)
        self.shape = tuple(shape)

    def call(self, x):
        return tf.reshape(x, (-1, *self.shape))

    def get_config(self):
        return {**super().get_config(), "shape": self.shape}


def number_of_columns(conv):
    """The most columns that the convolution can take as channels; 1 where it cannot."""
    plain = (
        type(conv) is layers.Conv2D
        and conv.activation in ELEMENTWISE
        and conv.strides == conv.dilation_rate == (1, 1)
        and conv.groups == 1
    )
    if not plain or conv.padding != "valid" or conv.input_shape[-1] != 1 or conv.data_format != "channels_last":
        return 1
    widths = conv.input_shape[2], conv.output_shape[2]
    return max(p for p in range(1, MOST_COLUMNS + 1) if all(width % p == 0 for width in widths))


def packed(w, p):
    """W [h, columns, p, p f] of w [h, width, 1, f], as above."""
    h, width, _, filters = w.shape
    W = np.zeros((h, (p + width - 2) // p + 1, p, p, filters), w.dtype)
    for q in range(p):
        for t in range(width):
            W[:, (q + t) // p, (q + t) % p, q] = w[:, t, 0]
    return W.reshape(*W.shape[:3], p * filters)
