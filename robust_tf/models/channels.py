"""Layers that move channels about, without weights: a part of them, and ShuffleNet's shuffle."""

import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable("robust_tf")
class ChannelSlice(keras.layers.Layer):
    """Channels start to stop."""

    def __init__(self, start, stop, **kwargs):
        super().__init__(**kwargs)
        self.start, self.stop = start, stop

    def call(self, x):
        return x[..., self.start : self.stop]

    def get_config(self):
        return {**super().get_config(), "start": self.start, "stop": self.stop}


@keras.saving.register_keras_serializable("robust_tf")
class ChannelShuffle(keras.layers.Layer):
    """Channel i * n + j of `groups` runs of n becomes channel j * groups + i."""

    def __init__(self, groups, **kwargs):
        super().__init__(**kwargs)
        self.groups = groups

    def call(self, x):
        _, H, W, C = x.shape
        x = tf.reshape(x, (-1, H, W, self.groups, C // self.groups))
        return tf.reshape(tf.transpose(x, (0, 1, 2, 4, 3)), (-1, H, W, C))

    def get_config(self):
        return {**super().get_config(), "groups": self.groups}
