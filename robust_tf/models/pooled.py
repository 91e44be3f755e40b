"""A convolution and the max pooling after it as one layer: the same function of the same weights, computed faster.

For few input channels, as images have: the 2x2 blocks of the image become input channels, and the four values under a
2x2 pooling window become output channels. One smaller convolution of stride 1 then computes all four values, and
pooling is the largest of the four. Bias and activation come after the maximum, on a quarter of the values.
"""

import tensorflow as tf
import tf_keras as keras

# With more input channels than this, padding the kernel costs more than the fusion saves.
MOST_CHANNELS = 4
# Non-decreasing activations: the maximum may come before them.
NON_DECREASING = (keras.activations.linear, keras.activations.relu, keras.activations.tanh, keras.activations.sigmoid)


def fits(conv, pool):
    """Whether `conv` is a convolution of few channels without padding, and `pool` a 2x2 max pooling."""
    return (
        type(conv) is keras.layers.Conv2D
        and conv.strides == conv.dilation_rate == (1, 1)
        and conv.padding == "valid"
        and conv.groups == 1
        and conv.data_format == "channels_last"
        and conv.activation in NON_DECREASING
        and conv.kernel.shape[2] <= MOST_CHANNELS
        and all(size and size % 2 == 0 for size in conv.input_shape[1:3])
        and type(pool) is keras.layers.MaxPooling2D
        and pool.pool_size == pool.strides == (2, 2)
        and pool.padding == "valid"
        and pool.data_format == "channels_last"
    )


def highest(a):
    """The largest of the values under each window, [B, H, W, 4, out] -> [B, H, W, out].

    By the pooling kernel, whose gradient is several times as fast as that of a maximum over an axis. Of equal values
    the first gets all of it, as in Keras' pooling.
    """
    _, height, width, values, out = a.shape
    pooled = tf.nn.max_pool2d(tf.reshape(a, (-1, height * width, values, out)), (1, values), (1, values), "VALID")
    return tf.reshape(pooled, (-1, height, width, out))


class PooledConv(keras.layers.Layer):
    """activation(max over 2x2 windows of conv(x) + bias), with the variables of the layer `conv`."""

    def __init__(self, conv, name):
        super().__init__(name=name)
        self.conv = conv
        self.image = conv.input_shape[1:]

    def call(self, x):
        return self.finish(highest(self.windows(x)))

    def windows(self, x, transform=tf.identity):
        """The four values under each pooling window, [B, H, W, 4, out], without bias; x: [B, 2H + ., 2W + ., in].

        The kernel is transform(kernel).
        """
        kernel = transform(self.conv.kernel)
        h, w, channels, out = kernel.shape
        H, W = (h + 2) // 2, (w + 2) // 2  # blocks that hold the kernel and its shift by one
        shifts = [(i, j) for i in (0, 1) for j in (0, 1)]
        shifted = [tf.pad(kernel, [[i, 2 * H - h - i], [j, 2 * W - w - j], [0, 0], [0, 0]]) for i, j in shifts]
        blocks = tf.reshape(tf.stack(shifted, 3), (H, 2, W, 2, channels, 4 * out))
        blocks = tf.reshape(tf.transpose(blocks, (0, 2, 1, 3, 4, 5)), (H, W, 4 * channels, 4 * out))
        x = tf.ensure_shape(x, (None, *self.image))
        a = tf.nn.conv2d(tf.nn.space_to_depth(x, 2), blocks, 1, "VALID")
        return tf.reshape(a, (-1, *a.shape[1:3], 4, out))

    def finish(self, a):
        """Bias and activation."""
        return self.conv.activation(a + self.conv.bias if self.conv.use_bias else a)
