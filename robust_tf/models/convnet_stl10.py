"""The ConvNet of Gui et al. (arXiv 1902.03538) for STL-10."""

import tf_keras as keras

from robust_tf.models.kernels import scaled
from robust_tf.models.layers import conv_bn, norm, pixels

layers = keras.layers
PADDED = (32, 64, 128, 128)


def convnet_stl10(input_shape, num_classes, width=1.0, normalisation=None):
    """Builds the net: four padded 3x3 convolutions, each with pooling; two valid ones of 256, pooling; a dense layer.

    1,127,776 kernel weights on 96x96x3 with 10 classes.

    Args:
      input_shape: (H, W, C), H and W at least 96.
      num_classes: length of the logits.
      width: factor on all filters.
      normalisation: (mean, deviation) of the pixels, one number per channel.

    Returns:
      Keras model, images [B, H, W, C] in [0, 1] -> logits [B, num_classes].
    """
    image, x = pixels(input_shape, normalisation)
    for i, filters in enumerate(PADDED, 1):
        x = conv_bn(x, scaled(filters, width), 3, f"conv{i}")
        x = layers.MaxPooling2D(2, name=f"pool{i}")(x)
    for i in (5, 6):
        valid = layers.Conv2D(scaled(256, width), 3, use_bias=False, kernel_initializer="he_normal", name=f"conv{i}")
        x = norm(valid(x), f"conv{i}")
    x = layers.MaxPooling2D(2, name="pool6")(x)
    logits = layers.Dense(num_classes, name="logits")(layers.Flatten(name="flatten")(x))
    return keras.Model(image, logits, name="convnet_stl10")
