"""What the nets are made of: normalised pixels, and convolutions with batch normalisation after them."""

import tf_keras as keras

layers = keras.layers


def pixels(input_shape, normalisation=None):
    """(image, x): the net's input, pixels in [0, 1], and what its first convolution sees.

    x = (image - mean) / deviation, for normalisation = (mean, deviation), a number a channel each; x = image for None.
    Attacks see raw pixels.
    """
    image = keras.Input(input_shape, name="image")
    if normalisation is None:
        return image, image
    mean, deviation = normalisation
    scale, offset = [1 / d for d in deviation], [-m / d for m, d in zip(mean, deviation)]
    return image, layers.Rescaling(scale, offset, name="normalise")(image)


def norm(x, name, relu=True):
    """Batch normalisation, and ReLU where asked."""
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def conv(x, filters, size, name, stride=1):
    """A bare convolution without bias, zero-padded to keep the image's size (divided by the stride).

    One of 1x1 leaves out pixels first: see `training.sound` for what becomes of gradients otherwise.
    """
    if size == 1 and stride > 1:
        x, stride = layers.MaxPooling2D(1, stride, padding="same", name=f"{name}_subsampled")(x), 1
    return layers.Conv2D(
        filters, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def conv_bn(x, filters, size, name, stride=1, relu=True):
    return norm(conv(x, filters, size, name, stride), name, relu)


def depthwise_bn(x, size, name, stride=1, relu=True):
    """One filter a channel."""
    depthwise = layers.DepthwiseConv2D(
        size, stride, padding="same", use_bias=False, depthwise_initializer=he_depthwise(size), name=name
    )
    return norm(depthwise(x), name, relu)


def he_depthwise(size):
    """He's initial weights of a depthwise kernel, N(0, 2 / size^2): each output sees size^2 values of one channel.

    Keras' "he_normal" takes all channels for inputs: weights that much too small, which a global top-k would all prune.
    """
    return keras.initializers.RandomNormal(stddev=(2 / size**2) ** 0.5)
