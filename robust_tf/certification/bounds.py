"""Interval bound propagation: bounds of a net's logits over an L-inf ball of images (Gowal et al., arXiv 1810.12715).

The bounds hold for every attack, known or not: an image is certified if the worst logits still give its class.

With `unit`, the unit roundoff u, they also hold for logits that are computed with rounding. A layer that adds up n
products errs by at most about n u (|W| |x| + |b|) (Higham, Accuracy and Stability of Numerical Algorithms, section
3.1), in any order of summation, with or without fused multiply-add, with batch norm folded into the kernel or not. So
do the bounds themselves. The bounds of each layer are moved apart by both errors. Not covered are kernels of another
arithmetic: Winograd's, TF32, bfloat16.

With `levels`, they are the bounds of a net whose images and activations are rounded to so many equal steps, as those of
an int8 file are (QA-IBP, Lechner et al., arXiv 2211.16187): after each rounding they move apart by half a step.
"""

import tensorflow as tf
import tf_keras as keras

from robust_tf.compression.plain import used_kernel
from robust_tf.models.batch_norm import of_layer
from robust_tf.models.channels import ChannelGather, ChannelShuffle, ChannelSlice
from robust_tf.models.kernels import is_depthwise, kernel_of
from robust_tf.models.pooled import NON_DECREASING, PooledConv, highest
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
# Of them, layers that add values up.
SUMMING = (keras.layers.Add, keras.layers.AveragePooling2D, keras.layers.GlobalAveragePooling2D)
EXACT = (keras.activations.linear, keras.activations.relu)  # activations that do not round
FURTHER = 16  # roundings of a layer beside those of its sum: scale, shift and bias of batch norm, centre and radius
TINY = 1e-20  # far above what is lost where denormal numbers become 0
UNIT = 2.0**-24  # u of float32
# Layers whose outputs an int8 file rounds to steps of their own. Batch norm becomes part of the layer before it.
REQUANTISED = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Dense,
    keras.layers.Add,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalAveragePooling2D,
    PooledConv,
)
# Layers that multiply by constants of either sign and add constants.
SCALED = (keras.layers.BatchNormalization, keras.layers.Rescaling)


def worst_logits(net, x, y, eps, unit=0.0, levels=0):
    """Upper bounds of z_j - z_y over the images of [0, 1] within eps of x: [B, K], 0 at y.

    Layer by layer low <= a <= high, with centre c = (low + high)/2 and radius r = (high - low)/2; a linear layer maps
    them to Wc + b and |W| r. For the last, dense layer the differences z_j - z_y are bounded directly, which is tighter
    than a difference of bounds.

    Args:
      net: Keras net of plain or factorised layers in inference mode; its last layer is dense and linear.
      x: images [B, H, W, C] in [0, 1].
      y: labels [B].
      eps: radius in pixels of [0, 1].
      unit: unit roundoff of the computation for which the bounds shall hold, UNIT for float32; 0: of real numbers.
      levels: steps between the smallest and the largest value of an activation that is rounded to them, 255 for int8;
        0: none is. For training: a file's steps come from its calibration images, the bounds' from the batch.

    Returns:
      [B, K]; raises Refusal for a layer without a rule.
    """
    check_bounded(net)
    low, high = tf.maximum(x - eps, 0.0) - 4 * unit, tf.minimum(x + eps, 1.0) + 4 * unit
    if levels:
        low, high = low - 0.5 / levels, high + 0.5 / levels
    low, high = propagate(net, low, high, unit, levels)
    c, r = (low + high) / 2, (high - low) / 2  # [B, D], the last layer's input
    layer = net.layers[-1]
    W = used_kernel(layer)  # [D, K]
    D, K = W.shape
    own = tf.one_hot(y, K)  # [B, K]
    differences = tf.reshape(W[:, :, None] - W[:, None, :], (D, K * K))  # (j, i): W_j - W_i
    pairs = tf.reshape(c @ differences + r @ tf.abs(differences), (-1, K, K))
    upper = tf.einsum("bji,bi->bj", pairs, own)
    if layer.use_bias:
        upper += layer.bias - tf.reduce_sum(layer.bias * own, -1, keepdims=True)
    if unit:
        # The logits z_j and z_y are computed one by one.
        apart = errors(D, unit) * ((tf.abs(c) + r) @ tf.abs(W) + bias_sizes(layer))
        upper += apart + tf.reduce_sum(apart * own, -1, keepdims=True)
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


def errors(terms, unit):
    """A bound of the relative error of a sum of products, its computation and its bounds' together."""
    return 2.02 * (terms + FURTHER) * unit


def bias_sizes(layer):
    return (tf.abs(layer.bias) if layer.use_bias else 0.0) + TINY


def propagate(net, low, high, unit=0.0, levels=0):
    """Bounds of the last layer's input, from the bounds low and high of the images."""
    bounds = {}
    for layer in keras.Model(net.inputs, net.outputs).layers:  # functional, even if it is sequential
        sources = [tensor.node.layer.name for tensor in tf.nest.flatten(layer.inbound_nodes[0].keras_inputs)]
        inputs = [bounds[name] for name in sources] or [(low, high)]
        if layer is net.layers[-1]:
            return inputs[0]
        bounds[layer.name] = rule(layer, inputs, unit)
        if levels and isinstance(layer, REQUANTISED):
            bounds[layer.name] = stepped(*bounds[layer.name], levels)


def stepped(low, high, levels):
    """The bounds moved apart by half a step of (largest - smallest centre, or 0) / levels, of which no gradient flows.

    Centres, because a file's range is that of activations on clean images.
    """
    c = (low + high) / 2
    step = tf.stop_gradient(tf.maximum(tf.reduce_max(c), 0.0) - tf.minimum(tf.reduce_min(c), 0.0)) / levels
    return low - step / 2, high + step / 2


def rule(layer, inputs, unit=0.0):
    """Bounds of a layer's output from those of its inputs."""
    if isinstance(layer, MONOTONE):
        if unit and isinstance(layer, SUMMING):
            inputs = [apart(*pair, errors(summands(layer, inputs), unit)) for pair in inputs]
        lows, highs = ([pair[i] for pair in inputs] for i in (0, 1))
        found = tuple(layer(side if len(side) > 1 else side[0]) for side in (lows, highs))
        return rounded(layer, *found, unit)
    ((low, high),) = inputs
    c, r = (low + high) / 2, (high - low) / 2
    size = tf.abs(c) + r if unit else None
    if isinstance(layer, keras.layers.Rescaling):
        scale, offset = (tf.abs(tf.constant(number, r.dtype)) for number in (layer.scale, layer.offset))
        centre, spread = layer(c), r * scale
        spread += errors(0, unit) * (size * scale + offset) if unit else 0.0
        return centre - spread, centre + spread
    if isinstance(layer, keras.layers.BatchNormalization):
        centre, scale = layer(c, training=False), tf.abs(of_layer(layer)[0])
        spread = r * scale
        if unit:
            shift = tf.abs(layer.moving_mean) * scale + (tf.abs(layer.beta) if layer.center else 0.0)
            spread += errors(0, unit) * (size * scale + shift)
        return centre - spread, centre + spread
    if isinstance(layer, PooledConv):
        conv = layer.conv
        error = errors(fan_in(conv), unit)
        centre, spread = layer.windows(c), layer.windows(r + error * size if unit else r, tf.abs)
        spread += error * bias_sizes(conv) if unit else 0.0
        found = tuple(layer.finish(highest(side)) for side in (centre - spread, centre + spread))
        return rounded(conv, *found, unit)
    error = errors(fan_in(layer), unit)
    centre, spread = linear(layer, c), linear(layer, r + error * size if unit else r, tf.abs)
    spread += error * bias_sizes(layer) if unit else 0.0
    bias = layer.bias if layer.use_bias else 0.0
    return rounded(layer, layer.activation(centre + bias - spread), layer.activation(centre + bias + spread), unit)


def apart(low, high, error):
    """The bounds moved apart by the error relative to the largest value between them."""
    size = error * tf.maximum(tf.abs(low), tf.abs(high))
    return low - size, high + size


def rounded(layer, low, high, unit):
    """Bounds of a layer's output, moved apart where its activation rounds; such outputs are at most 1."""
    if not unit or getattr(layer, "activation", keras.activations.linear) in EXACT:
        return low, high
    return low - FURTHER * unit, high + FURTHER * unit


def summands(layer, inputs):
    """The number of values that a layer of SUMMING adds up."""
    if isinstance(layer, keras.layers.Add):
        return len(inputs)
    if isinstance(layer, keras.layers.AveragePooling2D):
        return layer.pool_size[0] * layer.pool_size[1]
    height, width = layer.input_shape[1:3]
    return height * width


def fan_in(layer):
    """The number of products that a layer adds up for an output."""
    kernel = kernel_of(layer)
    return kernel.shape[:2].num_elements() if is_depthwise(layer) else kernel.shape[:-1].num_elements()


def linear(layer, a, transform=tf.identity):
    """The layer's linear map of `a`, without bias, with transform(kernel) as the kernel."""
    if is_depthwise(layer):
        strides, dilations = (1, *layer.strides, 1), layer.dilation_rate
        return tf.nn.depthwise_conv2d(
            a, transform(used_kernel(layer)), strides, layer.padding.upper(), dilations=dilations
        )
    W = transform(used_kernel(layer))
    if isinstance(layer, keras.layers.Dense):
        return a @ W
    return keras.layers.Conv2D.convolution_op(layer, a, W)
