"""The embedded scans."""

import numpy as np
from sklearn.datasets import load_digits

from robust_tf.data.digits import load


def test_splits_hold_every_scan_once():
    (train, train_labels), (test, test_labels) = load("train"), load("test")
    assert train.shape == (1437, 28, 28, 1)
    assert test.shape == (360, 28, 28, 1)
    assert train.dtype == np.uint8
    assert train_labels.dtype == np.int64
    np.testing.assert_array_equal(np.concatenate([train_labels, test_labels]), load_digits().target)


def test_enlarging_keeps_the_picture():
    images, _ = load("train")
    coarse = images[:50, :, :, 0].astype(float).reshape(50, 28, 28)
    blocks = np.stack([coarse[:, i * 28 // 8 : (i + 1) * 28 // 8].mean(1) for i in range(8)], 1)
    blocks = np.stack([blocks[:, :, j * 28 // 8 : (j + 1) * 28 // 8].mean(2) for j in range(8)], 2)
    scans = load_digits().images[:50] * 255 / 16
    assert np.corrcoef(blocks.ravel(), scans.ravel())[0, 1] > 0.95
