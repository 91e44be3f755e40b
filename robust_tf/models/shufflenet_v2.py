"""ShuffleNetV2 for small images: half of the channels bypass each block (Ma et al., arXiv 1807.11164)."""

import tf_keras as keras

from robust_tf.models.channels import ChannelShuffle, ChannelSlice
from robust_tf.models.kernels import scaled
from robust_tf.models.layers import conv_bn, depthwise_bn, pixels
from robust_tf.refusal import Refusal

layers = keras.layers
# width -> channels of the three stages and of the last convolution, as in the paper's table 5.
CHANNELS = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (224, 488, 976, 2048),
}
BLOCKS = (4, 8, 4)


def shufflenet_v2(input_shape, num_classes, width=1.0, normalisation=None):
    """Builds the net; 1,247,664 kernel weights on 32x32x3 with 10 classes.

    Args:
      input_shape: (H, W, C).
      num_classes: length of the logits.
      width: 0.5, 1, 1.5 or 2 as in the paper; below 0.5 the channels of 0.5 are scaled down.
      normalisation: (mean, deviation) of the pixels, one number per channel.

    Returns:
      Keras model, images [B, H, W, C] in [0, 1] -> logits [B, num_classes]; raises Refusal for another width.
    """
    if width not in CHANNELS and width > 0.5:
        raise Refusal(f"--width: expected 0.5, 1, 1.5, 2 or less than 0.5 for shufflenet_v2; got {width:g}")
    *stages, last = CHANNELS.get(width) or [2 * scaled(c, width) for c in CHANNELS[0.5]]
    image, x = pixels(input_shape, normalisation)
    x = conv_bn(x, 24, 3, "stem")
    for s, (channels, blocks) in enumerate(zip(stages, BLOCKS), 1):
        x = down(x, channels, f"stage{s}_block1")
        for b in range(2, blocks + 1):
            x = basic(x, f"stage{s}_block{b}")
    x = conv_bn(x, last, 1, "head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(image, logits, name="shufflenet_v2")


def basic(x, name):
    """The second half of the channels goes through 1x1, depthwise 3x3 and 1x1 convolutions; then all are shuffled."""
    half = x.shape[-1] // 2
    passed = ChannelSlice(0, half, name=f"{name}_pass")(x)
    y = ChannelSlice(half, 2 * half, name=f"{name}_part")(x)
    y = conv_bn(y, half, 1, f"{name}_conv1")
    y = depthwise_bn(y, 3, f"{name}_depthwise", relu=False)
    y = conv_bn(y, half, 1, f"{name}_conv2")
    return shuffled(passed, y, name)


def down(x, channels, name):
    """Both branches see all channels and halve the image."""
    half = channels // 2
    short = depthwise_bn(x, 3, f"{name}_short_depthwise", 2, relu=False)
    short = conv_bn(short, half, 1, f"{name}_short_conv")
    y = conv_bn(x, half, 1, f"{name}_conv1")
    y = depthwise_bn(y, 3, f"{name}_depthwise", 2, relu=False)
    y = conv_bn(y, half, 1, f"{name}_conv2")
    return shuffled(short, y, name)


def shuffled(one, other, name):
    return ChannelShuffle(2, name=f"{name}_shuffle")(layers.Concatenate(name=f"{name}_join")([one, other]))
