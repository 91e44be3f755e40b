"""Finds gradients that this machine computes wrongly, by computing them in a second way.

oneDNN's gradient of a strided 1x1 kernel is wrong for few input channels. Seen with TensorFlow 2.21 on a CPU with AVX2,
for convolutions and depthwise convolutions of up to 7 channels; correct were 8 and more channels, kernels of 2x2 to
5x5, outputs, and gradients with respect to inputs.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.models.kernels import kernel_of
from robust_tf.refusal import Refusal


def check_gradients(net):
    """Raises Refusal where the net has a convolution whose kernel gradient this machine computes wrongly."""
    for layer in net.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D) and wrong(layer):
            raise Refusal(
                f"--model: expected a net whose gradients TensorFlow computes correctly here; got {layer.name}, a 1x1"
                f" convolution with stride {layer.strides[0]}, whose gradient oneDNN computes wrongly: set"
                " TF_ENABLE_ONEDNN_OPTS=0, or subsample with MaxPooling2D(1, stride) before it"
            )


def wrong(layer, tolerance=1e-3):
    """Whether the gradient of a strided 1x1 kernel differs from that without a stride on the subsampled pixels."""
    stride = layer.strides[0]
    if set(layer.kernel_size) != {1} or stride == 1 or layer.data_format != "channels_last":
        return False
    operation = tf.nn.depthwise_conv2d if isinstance(layer, keras.layers.DepthwiseConv2D) else tf.nn.conv2d
    kernel = kernel_of(layer)
    generator = np.random.default_rng(0)
    x = tf.constant(generator.normal(size=(4, *layer.input_shape[1:])).astype(np.float32))
    strided = gradient(operation, x, kernel, stride)
    subsampled = gradient(operation, x[:, ::stride, ::stride], kernel, 1)
    return bool(tf.reduce_max(tf.abs(strided - subsampled)) > tolerance * tf.reduce_max(tf.abs(subsampled)))


@tf.function
def gradient(operation, x, kernel, stride):
    """The gradient of sum_i sin(i) z_i with respect to the kernel, where z is the convolution's output."""
    w = tf.convert_to_tensor(kernel)
    with tf.GradientTape() as tape:
        tape.watch(w)
        z = operation(x, w, [1, stride, stride, 1], "SAME")
        weights = tf.reshape(tf.sin(tf.range(tf.size(z), dtype=tf.float32)), tf.shape(z))
        loss = tf.reduce_sum(weights * z)
    return tape.gradient(loss, w)
