"""ShuffleNet for small images: grouped 1x1 convolutions and a shuffle between them (Zhang et al., arXiv 1707.01083).

A grouped convolution is written as one convolution per group: TensorFlow has no gradient of grouped convolutions on
CPU, and pruning, factorising and interval bounds need no special case.
"""

import tf_keras as keras

from robust_tf.models.channels import ChannelShuffle, ChannelSlice
from robust_tf.models.kernels import scaled
from robust_tf.models.layers import conv, conv_bn, depthwise_bn, norm, pixels

layers = keras.layers
GROUPS = 3
BODY = ((240, 4), (480, 8), (960, 4))  # channels, blocks


def shufflenet_v1(input_shape, num_classes, width=1.0, normalisation=None):
    """Builds the net; 839,022 kernel weights on 32x32x3 with 10 classes.

    Args:
      input_shape: (H, W, C).
      num_classes: length of the logits.
      width: factor on the channels of the three stages, which are rounded down to multiples of 12.
      normalisation: (mean, deviation) of the pixels, one number per channel.

    Returns:
      Keras model, images [B, H, W, C] in [0, 1] -> logits [B, num_classes].
    """
    image, x = pixels(input_shape, normalisation)
    x = conv_bn(x, 24, 1, "stem")
    for s, (channels, blocks) in enumerate(BODY, 1):
        for b in range(1, blocks + 1):
            groups = 1 if s == b == 1 else GROUPS  # the stem's 24 channels are too few for groups
            x = bottleneck(x, whole(channels * width), 2 if b == 1 else 1, groups, f"stage{s}_block{b}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(image, logits, name="shufflenet_v1")


def whole(channels):
    """The channels rounded down, at least to 12, so that a quarter of them is a multiple of GROUPS."""
    return scaled(channels, 1 / (4 * GROUPS)) * 4 * GROUPS


def bottleneck(x, channels, stride, groups, name):
    """Grouped 1x1 convolution, shuffle, depthwise 3x3, grouped 1x1; at stride 1 added to x, at stride 2 concatenated
    with the average-pooled x. groups: of the first 1x1 convolution."""
    shortcut = x
    out = channels if stride == 1 else channels - x.shape[-1]
    x = norm(grouped(x, out // 4, groups, f"{name}_reduce"), f"{name}_reduce")
    x = ChannelShuffle(groups, name=f"{name}_shuffle")(x) if groups > 1 else x
    x = depthwise_bn(x, 3, f"{name}_depthwise", stride)
    x = norm(grouped(x, out, GROUPS, f"{name}_expand"), f"{name}_expand", relu=False)
    if stride == 1:
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    else:
        pooled = layers.AveragePooling2D(3, 2, padding="same", name=f"{name}_pool")(shortcut)
        x = layers.Concatenate(name=f"{name}_join")([x, pooled])
    return layers.ReLU(name=f"{name}_relu")(x)


def grouped(x, filters, groups, name):
    """A grouped 1x1 convolution: one for each of `groups` runs of consecutive channels."""
    if groups == 1:
        return conv(x, filters, 1, name)
    n = x.shape[-1] // groups
    parts = [ChannelSlice(i * n, (i + 1) * n, name=f"{name}_part{i + 1}")(x) for i in range(groups)]
    parts = [conv(part, filters // groups, 1, f"{name}_{i}") for i, part in enumerate(parts, 1)]
    return layers.Concatenate(name=name)(parts)
