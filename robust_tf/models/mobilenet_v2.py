"""MobileNetV2 for small images: inverted residuals (Sandler et al., arXiv 1801.04381)."""

import tf_keras as keras

from robust_tf.models.kernels import scaled
from robust_tf.models.layers import conv_bn, depthwise_bn, pixels

layers = keras.layers
# Expansion t, channels c, number of blocks n, stride s of the first block.
BODY = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet_v2(input_shape, num_classes, width=1.0, normalisation=None):
    """Builds the net; 2,261,824 kernel weights on 32x32x3 with 10 classes.

    Args:
      input_shape: (H, W, C).
      num_classes: length of the logits.
      width: factor on all channels; on the last 1,280 only if it is above 1.
      normalisation: (mean, deviation) of the pixels, one number per channel.

    Returns:
      Keras model, images [B, H, W, C] in [0, 1] -> logits [B, num_classes].
    """
    image, x = pixels(input_shape, normalisation)
    x = conv_bn(x, scaled(32, width), 3, "stem")
    for s, (t, c, n, stride) in enumerate(BODY, 1):
        for b in range(1, n + 1):
            x = inverted_residual(x, t, scaled(c, width), stride if b == 1 else 1, f"stage{s}_block{b}")
    x = conv_bn(x, scaled(1280, max(1, width)), 1, "head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(image, logits, name="mobilenet_v2")


def inverted_residual(x, t, channels, stride, name):
    """1x1 convolution to t times the channels, depthwise 3x3, 1x1 convolution; plus a shortcut at stride 1."""
    shortcut = x
    x = conv_bn(x, t * x.shape[-1], 1, f"{name}_expand")
    x = depthwise_bn(x, 3, f"{name}_depthwise", stride)
    x = conv_bn(x, channels, 1, f"{name}_project", relu=False)
    if stride != 1:
        return x
    if shortcut.shape[-1] != channels:
        shortcut = conv_bn(shortcut, channels, 1, f"{name}_shortcut", relu=False)
    return layers.Add(name=f"{name}_add")([x, shortcut])
