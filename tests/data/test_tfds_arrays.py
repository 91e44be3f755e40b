"""Data sets through TensorFlow Datasets: real where they are, else the library's mock data; refused in one line where
there is neither set nor network."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from robust_tf.data import DATASETS
from robust_tf.refusal import Refusal

THROUGH_TFDS = [name for name in DATASETS if name not in ("digits", "folder")]


def test_real_mnist(data_dir):
    images, labels = DATASETS["mnist"].load("test", data_dir)
    assert images.shape == (10000, 28, 28, 1)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])


def test_real_cifar10(data_dir):
    known = DATASETS["cifar10"]
    images, labels = known.load("train", data_dir)
    assert images.shape == (known.train_images, *known.image_shape)
    np.testing.assert_array_equal(np.bincount(labels), [5000] * 10)
    named = tfds.builder("cifar10", data_dir=data_dir).info.features["label"].names
    assert list(known.class_names) == named
    mean, deviation = known.normalisation
    np.testing.assert_allclose(images.mean((0, 1, 2)) / 255, mean, atol=0.01)  # copies may be compressed anew
    np.testing.assert_allclose(images.std((0, 1, 2)) / 255, deviation, atol=0.01)


@pytest.mark.parametrize("name", THROUGH_TFDS)
def test_what_is_known_of_a_set_is_what_it_holds(name, monkeypatch):
    monkeypatch.setattr("robust_tf.data.tfds_arrays.find_hosts", lambda builder: None)
    known = DATASETS[name]
    with tfds.testing.mock_data(num_examples=12):
        images, labels = known.load("train")
    assert images.shape == (12, *known.image_shape)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    features = tfds.builder(name).info.features
    assert len(known.class_names) == features["label"].num_classes
    if name in ("fashion_mnist", "svhn_cropped"):  # the names of the others come with the data
        assert list(known.class_names) == features["label"].names


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
        DATASETS["mnist"].load("train", str(tmp_path))
    message = str(refusal.value)
    assert f"expected the data set mnist in {tmp_path}" in message
    assert "no route to host" in message
    assert "\n" not in message
    assert not list(tmp_path.rglob("*"))
