"""A split of a data set of TensorFlow Datasets as arrays; a missing data set is downloaded."""

import socket
from urllib.parse import urlparse
from urllib.request import getproxies

import numpy as np
import tensorflow_datasets as tfds

from robust_tf.refusal import Refusal
from robust_tf.terminal import busy


def load_tfds(name, split, data_dir=None):
    """Images uint8 [N, H, W, C], labels int64 [N]. Raises Refusal if the data set is missing and not downloadable."""
    where = data_dir or "the default folder"
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        where = builder.data_dir
        if not builder.is_prepared():
            find_hosts(builder)
            builder.download_and_prepare()
        with busy(f"reading {name}, {split}"):
            data = builder.as_dataset(split=split).batch(2**31).get_single_element()
    except Exception as error:  # tfds raises many types: connection, permission, checksum, damaged files
        reason = [*str(error).splitlines(), ""][0]
        raise Refusal(
            f"--data_dir: expected the data set {name} in {where}, or network access to download it;"
            f" got {type(error).__name__}: {reason}"
        ) from error
    return np.asarray(data["image"]), np.asarray(data["label"], np.int64)


def find_hosts(builder):
    """Raises OSError if the name of a download host does not resolve: tfds itself would retry for minutes."""
    if getproxies():  # the proxy may be the only one that resolves names
        return
    for host in {urlparse(url).hostname for url in builder.url_infos}:
        try:
            socket.getaddrinfo(host, 443)
        except OSError as error:
            raise ConnectionError(f"{host} not found ({error})") from None
