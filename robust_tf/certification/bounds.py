"""Interval bound propagation: bounds of a net's logits over an L-inf ball of images (Gowal et al., arXiv 1810.12715).

The bounds hold for every attack, known or not: an image is certified if the worst logits still give its class.
"""

import tensorflow as tf
import tf_keras as keras

from robust_tf.compression import atmc
from robust_tf.models.batch_norm import of_layer
from robust_tf.models.channels import ChannelGather, ChannelShuffle, ChannelSlice
from robust_tf.models.kernels import is_depthwise
from robust_tf.models.pooled import NON_DECREASING, PooledConv
from robust_tf.refusal import Refusal

# Layers whose outputs do not decrease as an input increases: they map bounds to bounds.
MONOTONE = (
    keras.layers.InputLayer,
    keras.layers.ReLU,
    keras.layers.Activation,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.ZeroPadding2D,
    keras.layers.Dropout,
    keras.layers.Add,
    keras.layers.Concatenate,
    ChannelSlice,
    ChannelShuffle,
    ChannelGather,
)
# Layers that multiply by constants of either sign and add constants.
SCALED = (keras.layers.BatchNormalization, keras.layers.Rescaling)


def worst_logits(net, x, y, eps):
    """Upper bounds of z_j - z_y over the images of [0, 1] within eps of x: [B, K], 0 at y.

    Layer by layer low <= a <= high, with centre c = (low + high)/2 and radius r = (high - low)/2; a linear layer maps
    them to Wc + b and |W| r. For the last, dense layer the differences z_j - z_y are bounded directly, which is tighter
    than a difference of bounds.

    Args:
      net: Keras net of plain or factorised layers in inference mode; its last layer is dense and linear.
      x: images [B, H, W, C] in [0, 1].
      y: labels [B].
      eps: radius in pixels of [0, 1].

    Returns:
      [B, K]; raises Refusal for a layer without a rule.
    """
    check_bounded(net)
    low, high = propagate(net, tf.maximum(x - eps, 0.0), tf.minimum(x + eps, 1.0))
    c, r = (low + high) / 2, (high - low) / 2  # [B, D], the last layer's input
    layer = net.layers[-1]
    W = atmc.materialised(layer) if atmc.is_factorised(layer) else layer.kernel  # [D, K]
    D, K = W.shape
    own = tf.one_hot(y, K)  # [B, K]
    differences = tf.reshape(W[:, :, None] - W[:, None, :], (D, K * K))  # (j, i): W_j - W_i
    pairs = tf.reshape(c @ differences + r @ tf.abs(differences), (-1, K, K))
    upper = tf.einsum("bji,bi->bj", pairs, own)
    if layer.use_bias:
        upper += layer.bias - tf.reduce_sum(layer.bias * own, -1, keepdims=True)
    return upper * (1 - own)


def check_bounded(net):
    """Raises Refusal if `net` has a layer without a rule."""
    for layer in net.layers:
        weighted = isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense)
        known = weighted or isinstance(layer, (*MONOTONE, *SCALED, PooledConv))
        if not known or getattr(layer, "activation", keras.activations.linear) not in NON_DECREASING:
            raise Refusal(f"interval bounds: expected supported layers; got {layer.name} ({type(layer).__name__})")
    last = net.layers[-1]
    if not isinstance(last, keras.layers.Dense) or last.activation is not keras.activations.linear:
        raise Refusal(f"interval bounds: expected a dense, linear last layer; got {last.name} ({type(last).__name__})")


def propagate(net, low, high):
    """Bounds of the last layer's input, from the bounds low and high of the images."""
    bounds = {}
    for layer in keras.Model(net.inputs, net.outputs).layers:  # functional, even if it is sequential
        sources = [tensor.node.layer.name for tensor in tf.nest.flatten(layer.inbound_nodes[0].keras_inputs)]
        inputs = [bounds[name] for name in sources] or [(low, high)]
        if layer is net.layers[-1]:
            return inputs[0]
        bounds[layer.name] = rule(layer, inputs)


def rule(layer, inputs):
    """Bounds of a layer's output from those of its inputs."""
    if isinstance(layer, MONOTONE):
        lows, highs = ([pair[i] for pair in inputs] for i in (0, 1))
        return tuple(layer(side if len(side) > 1 else side[0]) for side in (lows, highs))
    ((low, high),) = inputs
    c, r = (low + high) / 2, (high - low) / 2
    if isinstance(layer, PooledConv):
        centre, spread = layer.windows(c), layer.windows(r, tf.abs)
        return tuple(layer.finish(tf.reduce_max(side, -2)) for side in (centre - spread, centre + spread))
    if isinstance(layer, keras.layers.Rescaling):
        centre, spread = layer(c), r * tf.abs(tf.constant(layer.scale, r.dtype))
        return centre - spread, centre + spread
    if isinstance(layer, keras.layers.BatchNormalization):
        centre = layer(c, training=False)
        spread = r * tf.abs(of_layer(layer)[0])
        return centre - spread, centre + spread
    centre, spread = linear(layer, c), linear(layer, r, tf.abs)
    bias = layer.bias if layer.use_bias else 0.0
    return layer.activation(centre + bias - spread), layer.activation(centre + bias + spread)


def linear(layer, a, transform=tf.identity):
    """The layer's linear map of `a`, without bias, with transform(kernel) as the kernel."""
    if is_depthwise(layer):
        strides, dilations = (1, *layer.strides, 1), layer.dilation_rate
        return tf.nn.depthwise_conv2d(
            a, transform(layer.depthwise_kernel), strides, layer.padding.upper(), dilations=dilations
        )
    W = transform(atmc.materialised(layer) if atmc.is_factorised(layer) else layer.kernel)
    if isinstance(layer, keras.layers.Dense):
        return a @ W
    return keras.layers.Conv2D.convolution_op(layer, a, W)
