"""Wide ResNets: activation before convolution, depth 6n + 4 (Zagoruyko and Komodakis, arXiv 1605.07146)."""

import tf_keras as keras

from robust_tf.models.kernels import scaled
from robust_tf.models.layers import conv, norm, pixels

layers = keras.layers


def wide_resnet(input_shape, num_classes, depth, factor, width=1.0, normalisation=None):
    """Builds the net: three stages of (depth - 4) / 6 blocks at 16, 32, 64 channels times `factor`.

    Args:
      input_shape: (H, W, C).
      num_classes: length of the logits.
      depth: 6n + 4.
      factor: the paper's widening factor.
      width: a further factor on all channels but the stem's.
      normalisation: (mean, deviation) of the pixels, one number per channel.

    Returns:
      Keras model, images [B, H, W, C] in [0, 1] -> logits [B, num_classes].
    """
    image, x = pixels(input_shape, normalisation)
    x = conv(x, 16, 3, "stem")
    for s, channels in enumerate((16, 32, 64), 1):
        for b in range(1, (depth - 4) // 6 + 1):
            x = block(x, scaled(channels * factor, width), 2 if s > 1 and b == 1 else 1, f"stage{s}_block{b}")
    x = layers.GlobalAveragePooling2D(name="pool")(norm(x, "last"))
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(image, logits, name="wide_resnet")


def block(x, channels, stride, name):
    """x + two 3x3 convolutions of relu(bn(.)); if the shape changes, a 1x1 convolution of relu(bn(x)) replaces x."""
    active = norm(x, f"{name}_in")
    if stride != 1 or x.shape[-1] != channels:
        x = conv(active, channels, 1, f"{name}_shortcut", stride)
    y = norm(conv(active, channels, 3, f"{name}_conv1", stride), f"{name}_conv1")
    return layers.Add(name=f"{name}_add")([x, conv(y, channels, 3, f"{name}_conv2")])


def wrn_16_8(input_shape, num_classes, width=1.0, normalisation=None):
    """Depth 16, factor 8: 10,954,160 kernel weights on 32x32x3 with 10 classes."""
    return wide_resnet(input_shape, num_classes, 16, 8, width, normalisation)


def wrn_10_1(input_shape, num_classes, width=1.0, normalisation=None):
    """Depth 10, factor 1."""
    return wide_resnet(input_shape, num_classes, 10, 1, width, normalisation)
