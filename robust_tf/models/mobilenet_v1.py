"""MobileNet for small images: depthwise-separable convolutions (Howard et al., arXiv 1704.04861)."""

import tf_keras as keras

from robust_tf.models.kernels import scaled
from robust_tf.models.layers import conv_bn, depthwise_bn, pixels

layers = keras.layers
# (channels, stride) of each depthwise-separable convolution.
BODY = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def mobilenet_v1(input_shape, num_classes, width=1.0, normalisation=None):
    """Builds the net; 3,195,328 kernel weights on 32x32x3 with 10 classes.

    Args:
      input_shape: (H, W, C).
      num_classes: length of the logits.
      width: factor on all channels.
      normalisation: (mean, deviation) of the pixels, one number per channel.

    Returns:
      Keras model, images [B, H, W, C] in [0, 1] -> logits [B, num_classes].
    """
    image, x = pixels(input_shape, normalisation)
    x = conv_bn(x, scaled(32, width), 3, "stem")
    for i, (channels, stride) in enumerate(BODY, 1):
        x = depthwise_bn(x, 3, f"block{i}_depthwise", stride)
        x = conv_bn(x, scaled(channels, width), 1, f"block{i}_pointwise")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(image, logits, name="mobilenet_v1")
