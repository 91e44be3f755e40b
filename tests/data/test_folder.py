"""The folder of the user's own images: what is in it, and one line where it is not what it should be."""

import numpy as np
import pytest
from PIL import Image

from robust_tf.data import described, own_images
from robust_tf.data.folder import listed
from robust_tf.flags.declare import parse
from robust_tf.records.images import OwnImages
from robust_tf.refusal import Refusal
from robust_tf.terminal import named
from robust_tf.training.config import TrainConfig

COLOURS = {"blue": (0, 0, 250), "red": (250, 0, 0)}


def write(path, colour, size=(10, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.broadcast_to(np.uint8(colour), (*size, 3)).copy()).save(path)


@pytest.fixture
def images(tmp_path):
    """Two classes, three images each to train on, one to test."""
    for name, colour in COLOURS.items():
        for i, suffix in enumerate([".png", ".jpg", ".JPEG"]):
            write(tmp_path / "train" / name / f"{i}{suffix}", colour, (10 + i, 8))
        write(tmp_path / "test" / name / "0.png", colour)
    return tmp_path


def loaded(split, folder, **kwargs):
    found = listed(folder)
    dataset = described("folder", folder, (6, 9), **kwargs)
    return own_images(dataset, OwnImages(train=found.train, test=found.test)).load(split, folder)


def refusal(folder):
    with pytest.raises(Refusal) as refused:
        listed(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_images_are_read_scaled_and_labelled_by_their_folder(images):
    (images / "train" / "red" / "notes.txt").write_text("no image")
    known = described("folder", images, (6, 9))
    assert known.class_names == ("blue", "red")
    assert known.image_shape == (6, 9, 3)
    x, y = loaded("train", images)
    assert x.dtype == np.uint8
    assert sorted(y) == [0, 0, 0, 1, 1, 1]
    assert 0 < sum(y[:3]) < 3  # mixed, and always alike
    np.testing.assert_array_equal(y, loaded("train", images)[1])
    for colour, label in zip(COLOURS.values(), (0, 1)):
        assert np.abs(np.asarray(x[y == label]).astype(int) - colour).max() <= 5  # JPEG
    assert np.asarray(loaded("test", images)[0]).shape == (2, 6, 9, 3)
    assert described("folder", images, (6, 9), grey=True).image_shape == (6, 9, 1)
    assert np.asarray(loaded("test", images, grey=True)[0]).shape == (2, 6, 9, 1)


def test_what_is_no_image_is_listed_with_a_reason(images):
    red = images / "train" / "red"
    (red / "notes.txt").write_text("no image")
    (red / "._0.png").write_text("what macOS leaves beside an image")
    (red / "inner").mkdir()
    write(red / "more" / "deep" / "0.png", (250, 0, 0))
    write(red / "more" / "1.png", (250, 0, 0))
    (red / b"\xff.png".decode("utf-8", "surrogateescape")).write_text("")
    write(images / "val" / "red" / "0.png", (250, 0, 0))
    (images / "empty").mkdir()
    (images / "train" / "readme.png").write_text("")
    found = listed(images)
    beside = "a folder with 1 image beside train and test, not used unless you move them there"
    assert found.skipped.pop("val") == beside
    assert found.skipped.pop("empty") == "a folder without images"
    assert found.skipped.pop("train/readme.png") == "not in a class folder"
    reasons = {path.removeprefix("train/red/"): reason for path, reason in found.skipped.items()}
    assert reasons.pop("\udcff.png") == "its name is not UTF-8"
    assert reasons.pop("more") == "a folder with 2 images, not used unless you move them to train/red"
    assert reasons == {"notes.txt": "not named as an image", "._0.png": "hidden", "inner": "a folder without images"}
    assert found.train == tuple(f"train/{name}/{file}" for name in COLOURS for file in ("0.png", "1.jpg", "2.JPEG"))
    assert found.undivided == ()


def test_a_folder_of_classes_alone(tmp_path):
    for name, suffix in (("a", ".webp"), ("b", ".bmp"), ("c", ".gif")):
        write(tmp_path / name / f"0{suffix}", (0, 0, 250))
    (tmp_path / "z.png").write_text("")
    found = listed(tmp_path)
    assert found.skipped == {"z.png": "not in a class folder"}
    assert found.class_names == ("a", "b", "c")
    assert found.undivided == ("a/0.webp", "b/0.bmp", "c/0.gif")
    assert found.train == found.test == ()


def test_a_file_that_vanished_is_named(images):
    known = own_images(described("folder", images, (6, 9)), OwnImages(train=("train/red/0.png", "train/red/9.png")))
    with pytest.raises(Refusal, match=r"expected the 2 train files of the run; got none at train/red/9\.png"):
        known.load("train", images)
    strange = own_images(described("folder", images, (6, 9)), OwnImages(train=("test/blue/0.png", "blue/test/0.png")))
    (images / "blue" / "test").mkdir(parents=True)
    write(images / "blue" / "test" / "0.png", (0, 0, 250))
    with pytest.raises(Refusal, match="expected files of the classes blue, red; got test"):
        strange.load("train", images)


def test_an_empty_class_is_named(images):
    (images / "train" / "green").mkdir()
    (images / "test" / "green").mkdir()
    assert f"{images}/train/green: expected images" in refusal(images)


def test_classes_that_differ_are_named(images):
    write(images / "test" / "green" / "0.png", (0, 250, 0))
    assert "expected the same classes in train and test; got green in test only" in refusal(images)


@pytest.mark.parametrize("sides", [("train", "test"), ("",)])
def test_one_class_is_none(tmp_path, sides):
    for side in sides:
        write(tmp_path / side / "red" / "0.png", (250, 0, 0))
    assert "expected two classes or more, a folder for each; got 1" in refusal(tmp_path)


def test_a_folder_of_another_kind(tmp_path):
    assert "expected two classes or more, a folder for each; got none" in refusal(tmp_path)
    assert f"expected a folder {tmp_path}/no " in refusal(tmp_path / "no")
    assert "--data_dir=DIR with DIR/CLASS" in refusal(None)


def test_folders_where_they_do_not_belong(tmp_path):
    """The message says what to do."""

    def folder(name, *paths):
        for path in paths:
            write(tmp_path / name / path, (250, 0, 0))
        return tmp_path / name

    def got(*what):
        return refusal(folder(*what)).partition("; got ")[2]

    assert got("a", "train/x/0.png", "train/y/0.png", "val/x/0.png") == "train, val"
    renamed = "plane, train; if train is a class, its folder needs another name"
    assert got("b", "plane/0.png", "train/0.png") == renamed
    assert got("c", "Train/x/0.png", "Train/y/0.png", "Test/x/0.png", "Test/y/0.png") == "Test, Train"
    inner = f"1, images, with the folders x, y: is it --data_dir={tmp_path / 'd' / 'images'}?"
    assert got("d", "images/x/0.png", "images/y/0.png") == inner
    lower = f"folders with images, s (2 images): move these to {tmp_path / 'e' / 'x'}"
    assert got("e", "x/s/0.png", "x/s/1.png", "y/0.png") == lower
    assert got("f", "0.png", "1.png") == f"none, but 2 images in {tmp_path / 'f'} itself"
    assert listed(folder("g", "Train/0.png", "plane/0.png")).class_names == ("Train", "plane")


def test_control_characters_in_names(tmp_path):
    """None in a class; in a file they are shown as escapes."""
    for name in ("a", "b"):
        write(tmp_path / name / "0\n\x1b[2J.png", (250, 0, 0))
    found = listed(tmp_path)
    assert named(found.undivided) == r"a/0\n\x1b[2J.png, b/0\n\x1b[2J.png"
    write(tmp_path / "c\nd" / "0.png", (250, 0, 0))
    assert refusal(tmp_path).endswith(r"without control characters; got c\nd")


def test_sizes_as_typed():
    size = lambda *flags: parse(TrainConfig, ["--dataset=folder", *flags]).image_size
    assert size() == (64, 64)
    assert size("--image_size=32") == (32, 32)
    assert size("--image_size=32x48") == (32, 48)
    for wrong in ("7", "32x", "32x32x3", "0x32", "a"):
        with pytest.raises(Refusal, match="image_size"):
            size(f"--image_size={wrong}")


@pytest.mark.parametrize(
    "wrong", ["--group_by=(", "--group_by=", "--test_fraction=0", "--test_fraction=1", "--memory=-1", "--grey=maybe"]
)
def test_flags_of_the_folder(wrong):
    name = wrong[2:].partition("=")[0]
    with pytest.raises(Refusal, match=name):
        parse(TrainConfig, ["--dataset=folder", wrong])
    with pytest.raises(Refusal, match=f"--{name}: expected --dataset=folder with it"):
        parse(TrainConfig, [{"--grey=maybe": "--grey"}.get(wrong, f"--{name}=0.5")])
