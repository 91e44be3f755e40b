"""HYDRA: the robust loss chooses which weights stay (Sehwag et al., arXiv 2002.10509).

Each kernel W is frozen and gets scores s of its shape, which are trained:

    kernel = W * m,   m = 1 for the k largest |s| of all kernels, else 0

The gradient passes the mask as if it were |s| (straight through): dL/ds = dL/dkernel * W * sign(s). The scores begin as
the weights, so that the first masks are those of magnitude. The paper keeps the same fraction of each layer; here the
layers share one budget, as with all methods of this project.
"""

import tensorflow as tf
import tf_keras as keras

from robust_tf.compression.plain import plain
from robust_tf.models.kernels import is_depthwise, kernel_layers, kernel_of
from robust_tf.projections.irregular import irregular


def add_scores(layer, scores):
    """Adds the weights W and mask to the layer; its own kernel, the variable `scores`, holds the scores."""
    layer.W, layer.mask = (
        layer.add_weight(name, scores.shape, initializer=start, trainable=False)
        for name, start in (("W", "zeros"), ("mask", "ones"))
    )


def masked(layer, scores):
    """W * m, with the gradient of W * |s| for the scores."""
    size = tf.abs(scores)
    return layer.W * (layer.mask + (size - tf.stop_gradient(size)))


@keras.saving.register_keras_serializable("robust_tf")
class ScoredConv2D(keras.layers.Conv2D):
    """A convolution with the kernel W * m; its `kernel` holds the scores."""

    PLAIN = keras.layers.Conv2D

    def build(self, input_shape):
        super().build(input_shape)
        add_scores(self, self.kernel)

    def used_kernel(self):
        return masked(self, self.kernel)

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, self.used_kernel())


@keras.saving.register_keras_serializable("robust_tf")
class ScoredDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A depthwise convolution with the kernel W * m; its `depthwise_kernel` holds the scores."""

    PLAIN = keras.layers.DepthwiseConv2D

    def build(self, input_shape):
        super().build(input_shape)
        add_scores(self, self.depthwise_kernel)

    def used_kernel(self):
        return masked(self, self.depthwise_kernel)

    def call(self, inputs):
        strides = (1, *self.strides, 1)
        z = tf.nn.depthwise_conv2d(
            inputs, self.used_kernel(), strides, self.padding.upper(), dilations=self.dilation_rate
        )
        return self.activation(tf.nn.bias_add(z, self.bias) if self.use_bias else z)


@keras.saving.register_keras_serializable("robust_tf")
class ScoredDense(keras.layers.Dense):
    """A dense layer with the kernel W * m; its `kernel` holds the scores."""

    PLAIN = keras.layers.Dense

    def build(self, input_shape):
        super().build(input_shape)
        add_scores(self, self.kernel)

    def used_kernel(self):
        return masked(self, self.kernel)

    def call(self, inputs):
        z = inputs @ self.used_kernel()
        return self.activation(tf.nn.bias_add(z, self.bias) if self.use_bias else z)


def scored_class(layer):
    """The class of scored layers that stands for a layer with a kernel."""
    if is_depthwise(layer):
        return ScoredDepthwiseConv2D
    return ScoredDense if isinstance(layer, keras.layers.Dense) else ScoredConv2D


def scored(net):
    """The net with scored layers, which computes the same until the masks are chosen; it shares no variables with
    `net`. Biases and batch norm stay trainable."""
    owners = kernel_layers(net)
    twin = keras.models.clone_model(
        net,
        clone_function=lambda each: (scored_class(each) if each in owners else type(each)).from_config(
            each.get_config()
        ),
    )
    for layer, clone in zip(net.layers, twin.layers):
        if layer not in owners:
            clone.set_weights(layer.get_weights())
            continue
        for w in (clone.W, kernel_of(clone)):
            w.assign(kernel_of(layer))
        if layer.use_bias:
            clone.bias.assign(layer.bias)
    return twin


def choose(net, k):
    """Gives each layer the mask of the k largest |s| of all layers; works in a graph too."""
    layers = kernel_layers(net)
    for layer, kept in zip(layers, irregular([kernel_of(layer) for layer in layers], k)):
        layer.mask.assign(tf.cast(kept != 0, tf.float32))


def drop(net, k):
    """Sets all scores but the k largest to 0, and chooses the masks."""
    layers = kernel_layers(net)
    for layer, kept in zip(layers, irregular([kernel_of(layer) for layer in layers], k)):
        kernel_of(layer).assign(kept)
    choose(net, k)


def pruned(net):
    """The net of plain layers with the kernels W where the scores are not 0."""
    for layer in kernel_layers(net):
        layer.mask.assign(tf.cast(kernel_of(layer) != 0, tf.float32))
    return plain(net)
