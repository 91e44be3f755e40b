"""Random kernels with which training starts."""

import math

import tf_keras as keras

from robust_tf.models.kernels import is_depthwise, kernel_layers, kernel_of


def keras_start(net):
    """Those that Keras' layers have drawn."""


def bounds_start(net):
    """Normal with standard deviation sqrt(2 pi) / n for n inputs of a neuron (Shi et al., arXiv 2103.17268).

    Then n E|w| = 2, and behind a ReLU, which halves the width of an interval on average, the interval bounds of every
    layer are about as wide as those of the image. With the usual starts they grow from layer to layer.
    """
    for layer in kernel_layers(net):
        kernel = kernel_of(layer)
        inputs = math.prod(kernel.shape[:2] if is_depthwise(layer) else kernel.shape[:-1])
        draw = keras.initializers.RandomNormal(stddev=math.sqrt(2 * math.pi) / inputs)
        kernel.assign(draw(kernel.shape))
