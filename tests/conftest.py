"""Fixtures: tiny nets, a few real images, and the folder of real data where there is one."""

import os

import numpy as np
import pytest

import robust_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is imported)


@pytest.fixture
def data_dir():
    """The TensorFlow Datasets folder with real MNIST; skips where the environment names none."""
    folder = os.environ.get("ROBUST_TF_DATA_DIR")
    if not folder:
        pytest.skip("ROBUST_TF_DATA_DIR names no TensorFlow Datasets folder with real MNIST")
    return folder


@pytest.fixture(scope="session")
def digits():
    """256 scans, x float32 [256, 28, 28, 1] in [0, 1], y [256]."""
    from robust_tf.data.digits import load

    images, labels = load("train")
    return images[:256].astype(np.float32) / 255, labels[:256]


@pytest.fixture
def small_net():
    """Two layers with a kernel each, and batch statistics; logits of 3 classes for 6x5x2 images."""
    import tf_keras as keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, name="logits"),
        ]
    )


@pytest.fixture
def small_images():
    """x float32 [8, 6, 5, 2] in [0, 1], y [8] of 3 classes."""
    generator = np.random.default_rng(0)
    return generator.random((8, 6, 5, 2), np.float32), generator.integers(0, 3, 8)
