"""MNIST through TensorFlow Datasets, real where it is, refused in one line where it is not."""

import numpy as np
import pytest

from robust_tf.data.mnist import load
from robust_tf.refusal import Refusal


def test_real_mnist(data_dir):
    images, labels = load("test", data_dir)
    assert images.shape == (10000, 28, 28, 1)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])


def test_absent_and_no_network(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise ConnectionError("no route to host\nand a long story")

    monkeypatch.setattr("tensorflow_datasets.core.dataset_builder.DatasetBuilder.download_and_prepare", offline)
    with pytest.raises(Refusal) as refusal:
        load("train", str(tmp_path))
    message = str(refusal.value)
    assert "expected the data set mnist in" in message
    assert "no route to host" in message
    assert "\n" not in message
