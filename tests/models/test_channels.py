"""Slices and shuffles of channels."""

import numpy as np

from robust_tf.models.channels import ChannelShuffle, ChannelSlice

X = np.broadcast_to(np.arange(6, dtype=np.float32), (2, 3, 2, 6))


def test_slice():
    np.testing.assert_array_equal(ChannelSlice(2, 5)(X)[0, 0, 0], [2, 3, 4])


def test_shuffle_takes_one_channel_of_each_group_in_turn():
    np.testing.assert_array_equal(ChannelShuffle(2)(X)[1, 2, 1], [0, 3, 1, 4, 2, 5])
    np.testing.assert_array_equal(ChannelShuffle(3)(ChannelShuffle(2)(X)), X)
