"""A convolution with the batch normalisation after it folded in: the same function in inference mode.

    gamma * (W * x - mean) / sqrt(variance + epsilon) + beta  =  (s W) * x + (beta - s mean),  s = gamma / sqrt(...)

The kernel is scaled at every call, so that it follows the variables; that costs little beside the convolution.
"""

import tensorflow as tf
import tf_keras as keras

from robust_tf.models.batch_norm import of_layer
from robust_tf.models.kernels import is_depthwise, kernel_of


def fits(conv, after):
    """Whether `conv` is a linear convolution and `after` a batch normalisation of its channels."""
    return (
        type(conv) in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
        and type(after) is keras.layers.BatchNormalization
        and conv.activation is keras.activations.linear
        and conv.data_format == "channels_last"
        and tuple(after.axis) == (3,)
    )


class FoldedConv(keras.layers.Layer):
    """Batch norm of conv(x) with the moving statistics, from the variables of the layers `conv` and `norm`."""

    def __init__(self, conv, norm, name):
        # Layers in lower precision stay so; the kernel is scaled in float32.
        super().__init__(name=name, dtype="float32", autocast=False)
        self.conv, self.norm = conv, norm

    def call(self, x):
        conv, norm = self.conv, self.norm
        scale, shift = of_layer(norm)  # [channels]
        offset = (conv.bias * scale if conv.use_bias else 0.0) + shift
        kernel = kernel_of(conv)
        across = scale
        if is_depthwise(conv):  # [h, w, in, multiplier]: channels are in * multiplier
            across = tf.reshape(scale, kernel.shape[2:])
        x, kernel = (tf.cast(t, conv.compute_dtype) for t in (x, kernel * across))
        return tf.cast(self.convolved(x, kernel), norm.compute_dtype) + tf.cast(offset, norm.compute_dtype)

    def convolved(self, x, kernel):
        if not is_depthwise(self.conv):
            return self.conv.convolution_op(x, kernel)
        conv = self.conv
        return keras.backend.depthwise_conv2d(x, kernel, conv.strides, conv.padding, dilation_rate=conv.dilation_rate)
