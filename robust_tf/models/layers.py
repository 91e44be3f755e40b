"""Building blocks of the nets: normalised pixels, and convolutions followed by batch normalisation."""

import tf_keras as keras

layers = keras.layers


def pixels(input_shape, normalisation=None):
    """(image, x): the net's input, pixels in [0, 1], and the normalised pixels for its first convolution.

    x = (image - mean) / deviation for normalisation = (mean, deviation), one number per channel; x = image for None.
    Attacks perturb the raw pixels.
    """
    image = keras.Input(input_shape, name="image")
    if normalisation is None:
        return image, image
    mean, deviation = normalisation
    scale, offset = [1 / d for d in deviation], [-m / d for m, d in zip(mean, deviation)]
    return image, layers.Rescaling(scale, offset, name="normalise")(image)


def norm(x, name, relu=True):
    """Batch normalisation, then ReLU if `relu`."""
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def conv(x, filters, size, name, stride=1):
    """A convolution without bias, zero-padded: the output has the input's size divided by the stride.

    A strided 1x1 convolution subsamples the pixels first; `training.gradient_check` says why.
    """
    if size == 1 and stride > 1:
        x, stride = layers.MaxPooling2D(1, stride, padding="same", name=f"{name}_subsampled")(x), 1
    return layers.Conv2D(
        filters, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def conv_bn(x, filters, size, name, stride=1, relu=True):
    return norm(conv(x, filters, size, name, stride), name, relu)


def depthwise_bn(x, size, name, stride=1, relu=True):
    """A depthwise convolution, one filter per channel, then `norm`."""
    depthwise = layers.DepthwiseConv2D(
        size, stride, padding="same", use_bias=False, depthwise_initializer=he_depthwise(size), name=name
    )
    return norm(depthwise(x), name, relu)


def he_depthwise(size):
    """He's initial weights of a depthwise kernel, N(0, 2 / size^2): each output sees size^2 values of one channel.

    Keras' "he_normal" counts all channels as inputs: its weights are too small by sqrt(channels), so that a global
    top-k prunes them first.
    """
    return keras.initializers.RandomNormal(stddev=(2 / size**2) ** 0.5)
