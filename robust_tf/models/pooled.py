"""A convolution and the max pooling after it as one layer: the same function of the same weights, computed faster.

On few input channels, as of images, the four windows of a 2x2 pooling become channels: with the image's 2x2 blocks as
channels too, one smaller convolution of stride 1 yields all four, and pooling is a maximum over an axis. Bias and
activation come after the maximum, on a quarter of the values.
"""

import tensorflow as tf
import tf_keras as keras

# Where the kernel has more input channels than this, padding it costs more than the four windows save.
MOST_CHANNELS = 4
# Activations that never fall, so that the maximum may come first.
RISING = (keras.activations.linear, keras.activations.relu, keras.activations.tanh, keras.activations.sigmoid)


def fused(net):
    """A net of the same function on the same variables, where `net` has a layer to fuse; else `net` itself.

    Gradients are equal but where values of a pooling window tie: here each gets its share, in Keras' pooling the first
    gets all.
    """
    plain = keras.Model(net.inputs, net.outputs)  # functional, where it is sequential
    pairs = {}
    for conv in plain.layers:
        if _fits(conv) and _fits_after(conv.outbound_nodes[0].layer, conv.output):
            pairs[conv.outbound_nodes[0].layer.name] = conv
    if not pairs:
        return net
    convs = {conv.name: pool for pool, conv in pairs.items()}

    def replaced(layer):
        if layer.name in convs:
            return PooledConv(layer, name=f"{layer.name}_pooled")
        return keras.layers.Activation("linear", name=layer.name) if layer.name in pairs else layer

    return keras.models.clone_model(plain, clone_function=replaced)


def _fits(layer):
    return (
        type(layer) is keras.layers.Conv2D
        and layer.strides == layer.dilation_rate == (1, 1)
        and layer.padding == "valid"
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and layer.activation in RISING
        and len(layer.inbound_nodes) == len(layer.outbound_nodes) == 1
        and layer.kernel.shape[2] <= MOST_CHANNELS
        and all(size and size % 2 == 0 for size in layer.input_shape[1:3])
    )


def _fits_after(layer, source):
    return (
        type(layer) is keras.layers.MaxPooling2D
        and layer.pool_size == layer.strides == (2, 2)
        and layer.padding == "valid"
        and layer.data_format == "channels_last"
        and len(layer.inbound_nodes) == 1
        and layer.input is source
    )


class PooledConv(keras.layers.Layer):
    """activation(max over 2x2 windows of conv(x) + bias), with the variables of the layer `conv`."""

    def __init__(self, conv, name):
        super().__init__(name=name)
        self.conv = conv
        self.image = conv.input_shape[1:]

    def call(self, x):
        return self.finish(tf.reduce_max(self.windows(x), -2))

    def windows(self, x, of=tf.identity):
        """The four values under each pooling window, [B, H, W, 4, out], of x [B, 2H + ., 2W + ., in]; no bias.

        `of` is applied to the kernel.
        """
        kernel = of(self.conv.kernel)
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
