"""Images in files give what images in memory give, in the same order."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from robust_tf.data.image_files import ImageFiles, in_memory
from robust_tf.data.pipeline import batches, refusals, stream
from robust_tf.data.pixels import in_batches, mapped
from robust_tf.refusal import Refusal

N = 21


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(N)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (9, 11, 3), np.uint8)).save(path)
    return ImageFiles(paths, (6, 8), 3)


def test_they_index_like_an_array(files):
    array = in_memory(files, memory=1)
    assert isinstance(array, np.ndarray)
    assert (files.shape, files.dtype, len(files), files.nbytes) == (array.shape, array.dtype, N, array.nbytes)
    for part in (slice(3, 9), slice(None, 4), np.array([5, 2, 2]), np.arange(N) % 2 == 0):
        assert isinstance(files[part], ImageFiles)
        np.testing.assert_array_equal(files[part], array[part])


def test_the_limit_decides(files):
    size = files.nbytes / 2**30
    assert in_memory(files, memory=size * 0.99) is files
    assert in_memory(files, memory=0) is files
    assert isinstance(in_memory(files, memory=size), np.ndarray)
    assert isinstance(in_memory(files), np.ndarray)  # some free memory there is
    array = np.zeros(3)
    assert in_memory(array, memory=0) is array


@pytest.mark.parametrize("first_step", [0, 7])
def test_the_stream_is_the_same(files, first_step):
    labels = np.arange(N)
    settings = {"seed": 3, "first_step": first_step, "varied": ("crop", "flip", "rotate"), "num_parts": 2}
    pairs = zip(stream(files, labels, 4, **settings), stream(np.asarray(files), labels, 4, **settings))
    for ((x, y), (x_memory, y_memory)), _ in zip(pairs, range(12)):
        np.testing.assert_array_equal(y, y_memory)
        np.testing.assert_array_equal(x, x_memory)


def test_batches_are_the_same(files):
    labels, array = np.arange(N), np.asarray(files)
    for found in (batches(files, labels, 5), ((x, y) for _, x, y in in_batches(files, labels, 5))):
        x, y = (np.concatenate(each) for each in zip(*found))
        np.testing.assert_array_equal(y, labels)
        np.testing.assert_allclose(x, array.astype(np.float32) / 255, rtol=1e-6)
    np.testing.assert_array_equal(
        mapped(lambda x: x.sum((1, 2, 3)), files, 5), mapped(lambda x: x.sum((1, 2, 3)), array)
    )
    assert batches(files, labels, 5).element_spec[0].shape.as_list() == [None, 6, 8, 3]


def test_a_file_that_vanishes_in_between_is_one_line(tmp_path, files):
    lost = ImageFiles([*files.paths[:3], tmp_path / "gone.png"], (6, 8), 3)
    with pytest.raises(Refusal) as refused, refusals():
        list(stream(lost, np.arange(4), 4, seed=0).take(1))
    assert str(refused.value) == f"--data_dir: expected readable images; got {tmp_path}/gone.png (no such file)"
    with pytest.raises(tf.errors.InvalidArgumentError), refusals():  # others pass
        tf.ensure_shape(tf.zeros(3), (2,))
