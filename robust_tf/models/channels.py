"""Layers without weights that select or reorder channels: a slice, ShuffleNet's shuffle, any selection."""

import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable("robust_tf")
class ChannelSlice(keras.layers.Layer):
    """Channels start:stop."""

    def __init__(self, start, stop, **kwargs):
        super().__init__(**kwargs)
        self.start, self.stop = start, stop

    def call(self, x):
        return x[..., self.start : self.stop]

    def get_config(self):
        return {**super().get_config(), "start": self.start, "stop": self.stop}


@keras.saving.register_keras_serializable("robust_tf")
class ChannelShuffle(keras.layers.Layer):
    """Of `groups` groups of n consecutive channels, channel i * n + j becomes channel j * groups + i."""

    def __init__(self, groups, **kwargs):
        super().__init__(**kwargs)
        self.groups = groups

    def call(self, x):
        _, H, W, C = x.shape
        x = tf.reshape(x, (-1, H, W, self.groups, C // self.groups))
        return tf.reshape(tf.transpose(x, (0, 1, 2, 4, 3)), (-1, H, W, C))

    def get_config(self):
        return {**super().get_config(), "groups": self.groups}


@keras.saving.register_keras_serializable("robust_tf")
class ChannelGather(keras.layers.Layer):
    """The channels with the indices `places`, in that order.

    Up to MOST_RUNS runs of consecutive channels are concatenated slices, which XNNPACK executes; it does not execute a
    gather.
    """

    MOST_RUNS = 8

    def __init__(self, places, **kwargs):
        super().__init__(**kwargs)
        self.places = [int(place) for place in places]

    def call(self, x):
        ends = [i for i, (a, b) in enumerate(zip(self.places, self.places[1:]), 1) if b != a + 1]
        runs = [self.places[i:j] for i, j in zip([0, *ends], [*ends, len(self.places)])]
        if len(runs) > self.MOST_RUNS:
            return tf.gather(x, self.places, axis=-1)
        return tf.concat([x[..., run[0] : run[-1] + 1] for run in runs], -1)

    def get_config(self):
        return {**super().get_config(), "places": self.places}
