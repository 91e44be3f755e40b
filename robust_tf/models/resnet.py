"""ResNets for small images: basic blocks, no pooling after the 3x3 stem (He et al., arXiv 1512.03385, section 4.2)."""

import tf_keras as keras

from robust_tf.models.kernels import scaled
from robust_tf.models.layers import conv_bn, pixels

layers = keras.layers


def resnet(input_shape, num_classes, stages, width=1.0, normalisation=None):
    """Builds the net: stages of basic blocks; each stage after the first halves the image.

    Args:
      input_shape: (H, W, C).
      num_classes: length of the logits.
      stages: (channels, number of blocks) of each stage.
      width: factor on all channels.
      normalisation: (mean, deviation) of the pixels, one number per channel.

    Returns:
      Keras model, images [B, H, W, C] in [0, 1] -> logits [B, num_classes].
    """
    image, x = pixels(input_shape, normalisation)
    x = conv_bn(x, scaled(stages[0][0], width), 3, "stem")
    for s, (channels, blocks) in enumerate(stages, 1):
        for b in range(1, blocks + 1):
            x = basic_block(x, scaled(channels, width), 2 if s > 1 and b == 1 else 1, f"stage{s}_block{b}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(image, logits, name="resnet")


def basic_block(x, channels, stride, name):
    """ReLU(two 3x3 convolutions + shortcut); the shortcut is a 1x1 convolution where the shape changes."""
    shortcut = x
    if stride != 1 or x.shape[-1] != channels:
        shortcut = conv_bn(x, channels, 1, f"{name}_shortcut", stride, relu=False)
    x = conv_bn(x, channels, 3, f"{name}_conv1", stride)
    x = conv_bn(x, channels, 3, f"{name}_conv2", relu=False)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, shortcut]))


def resnet34(input_shape, num_classes, width=1.0, normalisation=None):
    """[3, 4, 6, 3] blocks of 64, 128, 256, 512 channels: 21,265,088 kernel weights on 32x32x3 with 10 classes."""
    return resnet(input_shape, num_classes, ((64, 3), (128, 4), (256, 6), (512, 3)), width, normalisation)


def resnet20(input_shape, num_classes, width=1.0, normalisation=None):
    """[3, 3, 3] blocks of 16, 32, 64 channels."""
    return resnet(input_shape, num_classes, ((16, 3), (32, 3), (64, 3)), width, normalisation)


def resnet14(input_shape, num_classes, width=1.0, normalisation=None):
    """[2, 2, 2] blocks of 16, 32, 64 channels."""
    return resnet(input_shape, num_classes, ((16, 2), (32, 2), (64, 2)), width, normalisation)


def resnet8(input_shape, num_classes, width=1.0, normalisation=None):
    """[1, 1, 1] blocks of 16, 32, 64 channels."""
    return resnet(input_shape, num_classes, ((16, 1), (32, 1), (64, 1)), width, normalisation)
