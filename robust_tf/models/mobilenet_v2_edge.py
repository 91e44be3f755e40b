"""MobileNetV2 in the form that the sparse kernels of XNNPACK (on ARM) support.

They need a 3x3 stem of stride 2 on three channels with explicit padding, then only 1x1 convolutions, depthwise
convolutions with explicit padding, additions and element-wise functions, and a spatial mean at the end.
"""

import tf_keras as keras

from robust_tf.models.kernels import scaled
from robust_tf.models.layers import conv_bn, he_depthwise, norm, pixels
from robust_tf.models.mobilenet_v2 import BODY

layers = keras.layers


def mobilenet_v2_edge(input_shape, num_classes, width=1.0, normalisation=None):
    """Builds the net: mobilenet_v2 at half the resolution, without 1x1 shortcuts.

    Args:
      input_shape: (H, W, 3).
      num_classes: length of the logits.
      width: factor on all channels; on the last 1,280 only if it is above 1.
      normalisation: (mean, deviation) of the pixels, one number per channel.

    Returns:
      Keras model, images [B, H, W, 3] in [0, 1] -> logits [B, num_classes].
    """
    image, x = pixels(input_shape, normalisation)
    x = layers.ZeroPadding2D(1, name="stem_pad")(x)
    stem = layers.Conv2D(scaled(32, width), 3, 2, use_bias=False, kernel_initializer="he_normal", name="stem")
    x = norm(stem(x), "stem")
    for s, (t, c, n, stride) in enumerate(BODY, 1):
        for b in range(1, n + 1):
            x = inverted_residual(x, t, scaled(c, width), stride if b == 1 else 1, f"stage{s}_block{b}")
    x = conv_bn(x, scaled(1280, max(1, width)), 1, "head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(image, logits, name="mobilenet_v2_edge")


def inverted_residual(x, t, channels, stride, name):
    """1x1 convolution to t times the channels, depthwise 3x3, 1x1 convolution; plus x if the shapes agree."""
    shortcut = x
    x = conv_bn(x, t * x.shape[-1], 1, f"{name}_expand")
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    depthwise = layers.DepthwiseConv2D(
        3, stride, use_bias=False, depthwise_initializer=he_depthwise(3), name=f"{name}_depthwise"
    )
    x = norm(depthwise(x), f"{name}_depthwise")
    x = conv_bn(x, channels, 1, f"{name}_project", relu=False)
    if stride != 1 or shortcut.shape[-1] != channels:
        return x
    return layers.Add(name=f"{name}_add")([x, shortcut])
