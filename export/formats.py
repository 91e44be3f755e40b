"""The conversion, and how each format configures TensorFlow's converter (FORMATS in `robust_tf.export`)."""

import tensorflow as tf

from robust_tf.export import FORMATS
from robust_tf.terminal import quiet


def float32(converter, representative):
    pass


def float16(converter, representative):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def dynamic(converter, representative):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # tflite-runtime 2.14 does not support dense layers with one scale per column.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True


def int8(converter, representative):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in representative)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8


def sparse(converter, representative):
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]


def convert(net, name, representative=()):
    """The bytes of `net` in format `name`; representative: float32 images [N, H, W, C], for int8."""
    return converted(configured(net, name, representative))


def configured(net, name, representative=()):
    """TensorFlow's converter of `net`, configured for format `name`.

    The converter receives the net as one concrete function. It would trace a Keras model layer by layer, which takes
    five times as long for a deep net.
    """
    owner = tf.Module()
    owner.weights = net.variables
    image = tf.TensorSpec((None, *net.input_shape[1:]), name="image")
    function = tf.function(lambda x: net(x, training=False)).get_concrete_function(image)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], owner)
    FORMATS[name](converter, representative)
    return converter


def converted(converter):
    """The bytes of a converter's file."""
    with quiet():
        return converter.convert()
