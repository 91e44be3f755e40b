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


@pytest.mark.parametrize(
    "failing", ["socket.getaddrinfo", "tensorflow_datasets.core.DatasetBuilder.download_and_prepare"]
)
def test_absent_and_no_network(tmp_path, monkeypatch, failing):
    def offline(*args, **kwargs):
        raise OSError("no route to host\nand a long story")

    monkeypatch.setattr("robust_tf.data.tfds_arrays.getproxies", dict)
    monkeypatch.setattr("socket.getaddrinfo", lambda *args: [])
    monkeypatch.setattr(failing, offline)
    with pytest.raises(Refusal) as refusal:
        load("train", str(tmp_path))
    message = str(refusal.value)
    assert f"expected the data set mnist in {tmp_path}" in message
    assert "no route to host" in message
    assert "\n" not in message
    assert not list(tmp_path.rglob("*"))
