"""The formats of a file: how the converter is set up for each, and what the file must reach to ship.

float32         weights and arithmetic in 32-bit floats
float16         weights in 16-bit floats: half the bytes
dynamic         weights in 8-bit integers, activations quantised as they come
int8            weights, activations, input and output in 8-bit integers, their ranges from training images
sparse          float32; kernels of at least 30 % zeros are stored as indices and values. Dense layers of which whole
                blocks of 4 inputs are zero (--projection=block) run in a sparse kernel, on any processor
compact         float32, of the physically smaller net of `export.compact` and `export.columns`
compact-int8    int8, of the same
compact-sparse  sparse, of the same: the fewest bytes
"""

from dataclasses import dataclass

import tensorflow as tf

from robust_tf.terminal import quiet


def float32(converter, representative):
    pass


def float16(converter, representative):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def dynamic(converter, representative):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # Dense layers with a scale a column are an operation that tflite-runtime 2.14 does not know.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True


def int8(converter, representative):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in representative)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8


def sparse(converter, representative):
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]


@dataclass(frozen=True)
class Format:
    """How a converter is set up, and what the file must reach to ship.

    agreement: least fraction of images with the class that the Keras net predicts.
    tolerance: largest |logit difference| relative to the largest |logit|.
    compact: whether the smaller net of the same function is converted.
    """

    configure: callable
    agreement: float
    tolerance: float
    compact: bool = False


EXACT = {"agreement": 0.999, "tolerance": 1e-4}
ROUGH = {"agreement": 0.95, "tolerance": 0.2}
FORMATS = {
    "float32": Format(float32, **EXACT),
    "float16": Format(float16, agreement=0.99, tolerance=1e-2),
    "dynamic": Format(dynamic, **ROUGH),
    "int8": Format(int8, **ROUGH),
    "sparse": Format(sparse, **EXACT),
    "compact": Format(float32, **EXACT, compact=True),
    "compact-int8": Format(int8, **ROUGH, compact=True),
    "compact-sparse": Format(sparse, **EXACT, compact=True),
}


def convert(net, name, representative=()):
    """The bytes of `net` in format `name`; representative: float32 images [N, H, W, C], for int8.

    The net is handed over as one function of its variables: as a Keras model it would be traced layer by layer, which
    takes a deep one five times as long.
    """
    owner = tf.Module()
    owner.weights = net.variables
    image = tf.TensorSpec((None, *net.input_shape[1:]), name="image")
    function = tf.function(lambda x: net(x, training=False)).get_concrete_function(image)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], owner)
    FORMATS[name].configure(converter, representative)
    with quiet():
        return converter.convert()
