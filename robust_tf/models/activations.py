"""Activations of Keras 3 that Keras 2 lacks, as layers without weights."""

import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable("robust_tf")
class HardSigmoid(keras.layers.Layer):
    """min(max(x + 3, 0), 6) / 6. Keras 2 has another function of this name."""

    def call(self, x):
        return tf.nn.relu6(x + 3.0) * (1 / 6)


@keras.saving.register_keras_serializable("robust_tf")
class HardSwish(keras.layers.Layer):
    """x min(max(x + 3, 0), 6) / 6 (MobileNetV3, arXiv 1905.02244)."""

    def call(self, x):
        return x * (tf.nn.relu6(x + 3.0) * (1 / 6))
