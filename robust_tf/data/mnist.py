"""MNIST (LeCun et al.): 60,000 training and 10,000 test digits, 28x28x1, through TensorFlow Datasets."""

from robust_tf.data.tfds_arrays import load_tfds


def load(split, data_dir=None):
    """Images uint8 [N, 28, 28, 1], labels int64 [N]."""
    return load_tfds("mnist", split, data_dir)
