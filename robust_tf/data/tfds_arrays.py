"""A split of a TensorFlow data set as arrays; downloads it where there is a network."""

import numpy as np
import tensorflow_datasets as tfds

from robust_tf.refusal import Refusal


def load_tfds(name, split, data_dir=None):
    """Images uint8 [N, H, W, C], labels int64 [N]. Raises Refusal where the set is neither there nor to be had."""
    builder = tfds.builder(name, data_dir=data_dir)
    try:
        builder.download_and_prepare()
        data = builder.as_dataset(split=split, batch_size=-1)
    except Exception as error:  # tfds raises many types: connection, permission, checksum, damaged files
        reason = str(error).strip().splitlines()
        raise Refusal(
            f"--data_dir: expected the data set {name} in {builder.data_dir}, or a network to download it;"
            f" got {type(error).__name__}: {reason[0] if reason else ''}"
        ) from error
    return np.asarray(data["image"]), np.asarray(data["label"], np.int64)
