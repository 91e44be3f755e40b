"""A convolution and the batch normalisation after it as one convolution: in inference mode the same function.

    gamma * (W * x - mean) / sqrt(variance + epsilon) + beta  =  (s W) * x + (beta - s mean),  s = gamma / sqrt(...)

The kernel is multiplied anew at every call, which costs nothing beside a convolution over a batch, so that nothing can
be out of date.
"""

import tensorflow as tf
import tf_keras as keras

from robust_tf.models.kernels import is_depthwise, kernel_of


def fits(conv, after):
    """Whether `after` alone reads `conv`, a linear convolution, and normalises its channels."""
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
        # Layers in lower precision keep it; the kernel is multiplied in float32.
        super().__init__(name=name, dtype="float32", autocast=False)
        self.conv, self.norm = conv, norm

    def call(self, x):
        conv, norm = self.conv, self.norm
        scale = tf.math.rsqrt(norm.moving_variance + norm.epsilon)  # [channels]
        scale = scale * norm.gamma if norm.scale else scale
        offset = (conv.bias if conv.use_bias else 0.0) - norm.moving_mean
        offset = offset * scale + (norm.beta if norm.center else 0.0)
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
