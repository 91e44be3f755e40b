"""Columns of grey images as channels: an equivalent first convolution that runs faster.

TFLite's integer kernels process 8 input channels at a time, but a grey image has only one. Here p neighbouring columns
of the image become p channels, which is only a reshape. The convolution then computes p neighbouring outputs at once,
and a second reshape puts them side by side again:

    y[i, p X + q, o] = sum_{s, T, r} W[s, T, r, (q, o)] x'[i + s, X + T, r]

with x'[i, X, r] = x[i, p X + r] and W[s, T, r, (q, o)] = w[s, p T + r - q, o], where w is 0 outside its range.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.export.graph import ELEMENTWISE, nodes_of
from robust_tf.export.rules import layer_like

layers = keras.layers
MAX_COLUMNS = 8  # channels that an integer kernel processes at a time


def columns_as_channels(net):
    """`net` with its first convolution rewritten as above; `net` itself where that is impossible.

    It is possible where the image has one channel, the convolution has neither padding nor strides, and a number of
    columns from 2 to 8 divides the widths of the image and of the output.

    Args:
      net: functional Keras net.

    Returns:
      Equivalent Keras net that shares no layer with `net`; or `net` itself.
    """
    conv = next((layer for layer in net.layers if isinstance(layer, layers.Conv2D)), None)
    p = number_of_columns(conv) if conv is not None else 1
    if p == 1:
        return net
    height, width, _ = conv.input_shape[1:]
    out_height, out_width, filters = conv.output_shape[1:]
    W = packed(conv.kernel.numpy(), p)
    tensors = {}
    for node in nodes_of(net).values():
        inputs = [tensors[name] for name in node.sources]
        if not inputs:
            tensors[node.name] = image = keras.Input(node.shape, name=node.name)
            continue
        if node.name == conv.name:
            x = Reshaped((height, width // p, p), name="columns")(inputs[0])
            wide = layer_like(node, filters=p * filters, kernel_size=W.shape[:2])
            x = wide(x)
            wide.set_weights([W, *([np.tile(conv.bias, p)] if conv.use_bias else [])])
            tensors[node.name] = Reshaped((out_height, out_width, filters), name="side_by_side")(x)
            continue
        layer = layer_like(node)
        tensors[node.name] = layer(inputs if len(inputs) > 1 else inputs[0])
        layer.set_weights(node.weights)
    return keras.Model(image, tensors[node.name], name=net.name)


@keras.saving.register_keras_serializable("robust_tf")
class Reshaped(layers.Layer):
    """Keras' Reshape without its read of the batch size at run time, which XNNPACK does not support."""

    def __init__(self, shape, **kwargs):
        super().__init__(**kwargs)
        self.shape = tuple(shape)

    def call(self, x):
        return tf.reshape(x, (-1, *self.shape))

    def get_config(self):
        return {**super().get_config(), "shape": self.shape}


def number_of_columns(conv):
    """The largest number of columns that the convolution can take as channels; 1 where it must stay as it is."""
    plain = (
        type(conv) is layers.Conv2D
        and conv.activation in ELEMENTWISE
        and conv.strides == conv.dilation_rate == (1, 1)
        and conv.groups == 1
    )
    if not plain or conv.padding != "valid" or conv.input_shape[-1] != 1 or conv.data_format != "channels_last":
        return 1
    widths = conv.input_shape[2], conv.output_shape[2]
    return max(p for p in range(1, MAX_COLUMNS + 1) if all(width % p == 0 for width in widths))


def packed(w, p):
    """W [h, columns, p, p f] for w [h, width, 1, f], as defined above."""
    h, width, _, filters = w.shape
    W = np.zeros((h, (p + width - 2) // p + 1, p, p, filters), w.dtype)
    for q in range(p):
        for t in range(width):
            W[:, (q + t) // p, (q + t) % p, q] = w[:, t, 0]
    return W.reshape(*W.shape[:3], p * filters)
