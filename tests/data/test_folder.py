"""The user's own images: read as they are, refused in one line where they are not what they should be."""

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.data import described
from robust_tf.flags.declare import parse
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig

COLOURS = {"blue": (0, 0, 250), "red": (250, 0, 0)}


def write(path, colour, size=(10, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.broadcast_to(np.uint8(colour), (*size, 3))
    encode = tf.io.encode_png if path.suffix == ".png" else tf.io.encode_jpeg
    path.write_bytes(encode(image).numpy())


@pytest.fixture
def images(tmp_path):
    """Two classes, three images each to train on, one to test."""
    for name, colour in COLOURS.items():
        for i, suffix in enumerate([".png", ".jpg", ".JPEG"]):
            write(tmp_path / "train" / name / f"{i}{suffix}", colour, (10 + i, 8))
        write(tmp_path / "test" / name / "0.png", colour)
    return tmp_path


def refusal(folder):
    with pytest.raises(Refusal) as refused:
        described("folder", folder, (6, 9)).load("train", folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_images_are_read_scaled_and_labelled_by_their_folder(images):
    (images / "train" / "red" / "notes.txt").write_text("no image")
    (images / "train" / "red" / "._0.png").write_text("what macOS leaves beside an image")
    known = described("folder", images, (6, 9))
    assert known.class_names == ("blue", "red")
    assert known.image_shape == (6, 9, 3)
    assert known.train_images == 6
    x, y = known.load("train", images)
    assert x.dtype == np.uint8
    assert sorted(y) == [0, 0, 0, 1, 1, 1]
    assert 0 < sum(y[:3]) < 3  # mixed, and always alike
    np.testing.assert_array_equal(y, known.load("train", images)[1])
    for colour, label in zip(COLOURS.values(), (0, 1)):
        assert np.abs(x[y == label].astype(int) - colour).max() <= 5  # JPEG
    assert known.load("test", images)[0].shape == (2, 6, 9, 3)


def test_grey_images_become_colour(images):
    grey = tf.io.encode_png(np.full((5, 5, 1), 77, np.uint8)).numpy()
    (images / "train" / "blue" / "0.png").write_bytes(grey)
    x, _ = described("folder", images, (6, 9)).load("train", images)
    assert sum((image == 77).all() for image in x) == 1


def test_a_damaged_image_is_named(images):
    damaged = images / "train" / "red" / "1.jpg"
    damaged.write_bytes(damaged.read_bytes()[:40])
    assert f"{damaged}: expected a readable PNG or JPEG image; got" in refusal(images)


def test_a_file_of_another_kind_is_named(images):
    foreign = images / "train" / "red" / "0.png"
    foreign.write_text("not an image")
    assert str(foreign) in refusal(images)


def test_an_empty_class_is_named(images):
    (images / "train" / "green").mkdir()
    (images / "test" / "green").mkdir()
    assert f"{images}/train/green: expected images" in refusal(images)


def test_classes_that_differ_are_named(images):
    write(images / "test" / "green" / "0.png", (0, 250, 0))
    assert "expected the same classes in train and test; got green in test only" in refusal(images)


def test_one_class_is_none(tmp_path):
    for split in ("train", "test"):
        write(tmp_path / split / "red" / "0.png", (250, 0, 0))
    assert "expected two classes or more; got 1" in refusal(tmp_path)


def test_a_folder_of_another_kind(tmp_path):
    assert f"expected a folder {tmp_path}/train" in refusal(tmp_path)
    assert "--data_dir=DIR with DIR/train/CLASS" in refusal(None)


def test_sizes_as_typed():
    size = lambda *flags: parse(TrainConfig, ["--dataset=folder", *flags]).image_size
    assert size() == (64, 64)
    assert size("--image_size=32") == (32, 32)
    assert size("--image_size=32x48") == (32, 48)
    for wrong in ("7", "32x", "32x32x3", "0x32", "a"):
        with pytest.raises(Refusal, match="image_size"):
            size(f"--image_size={wrong}")
