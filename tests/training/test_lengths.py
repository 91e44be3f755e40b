"""Default batch sizes and numbers of epochs."""

import shutil

import numpy as np
import pytest
from PIL import Image

from robust_tf.data import described
from robust_tf.data.held_out import held_out
from robust_tf.flags.declare import parse
from robust_tf.models.build import build
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig
from robust_tf.training.images import to_train
from robust_tf.training.lengths import default_batch_size, default_epochs
from robust_tf.training.run import check_run
from robust_tf.training.rundir import RunDirectory, settled


@pytest.mark.parametrize(
    ("train_images", "batch_size", "epochs"),
    [(60000, 128, 20), (1437, 64, 59), (300, 16, 67), (60, 16, 100), (5, 4, 100)],
)
def test_lengths_of_data_sets(train_images, batch_size, epochs):
    """1,437 images: 1,150 to train on, 17 steps of 64, ceil(1000 / 17) = 59 epochs."""
    assert default_batch_size(train_images) == batch_size
    assert default_epochs(train_images, batch_size) == epochs


@pytest.mark.parametrize("train_images", [1, 2, 7, 64, 199, 200, 201, 1599, 1600, 10**5])
def test_a_batch_is_never_larger_than_the_set_nor_an_epoch_without_a_step(train_images):
    images, batch_size = train_images - held_out(train_images), default_batch_size(train_images)
    assert 1 <= batch_size <= images
    assert batch_size <= 16 or images // batch_size >= 10


def test_given_lengths_count():
    assert parse(TrainConfig, []).batch_size == 64
    given = parse(TrainConfig, ["--batch_size=100", "--epochs=3"])
    assert (given.batch_size, given.epochs) == (100, 3)
    assert parse(TrainConfig, ["--batch_size=1150"]).epochs == 100


def write_images(folder, count):
    """Class folders a and b; a gets what b has not of `count` images in all, b has 20."""
    for name, images in (("a", count - 20), ("b", 20)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(images):
            if not (folder / name / f"{i}.png").exists():
                colour = np.uint8([i % 256, i // 256, 200 * (name == "b")])
                Image.fromarray(np.broadcast_to(colour, (8, 8, 3))).save(folder / name / f"{i}.png")


def command(folder, *more):
    return ["--dataset=folder", f"--data_dir={folder}", "--image_size=8", *more]


def images_now(config):
    """The settled TrainConfig, for the images that are in the folder now, and its RunDirectory."""
    dataset, _ = to_train(config, described("folder", config.data_dir, config.image_size))
    config = settled(config, dataset.train_images)
    return config, RunDirectory.for_config(config)


def test_lengths_of_own_images_are_open_until_the_images_are_known(tmp_path):
    asked = parse(TrainConfig, command("/nowhere", "--method=ap"))
    assert (asked.batch_size, asked.epochs, asked.pretrain_epochs) == (None, None, None)
    write_images(tmp_path, 100)
    config, _ = images_now(parse(TrainConfig, command(tmp_path, "--method=ap")))
    assert (config.batch_size, config.epochs, config.pretrain_epochs) == (16, 100, 50)  # 80 of 100 images


def test_a_folder_that_grows_resumes_its_run_without_workdir(tmp_path, monkeypatch):
    """Lengths chosen by the number of images are no part of the run's name; lengths that are given are."""
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "data", 100)
    lines = command(tmp_path / "data", "--method=ap")
    before, run = images_now(parse(TrainConfig, lines))
    run.path.mkdir(parents=True)
    run.claim(before)
    write_images(tmp_path / "data", 500)
    after, again = images_now(parse(TrainConfig, lines))
    assert again.path == run.path
    assert after == before
    longer, again = images_now(parse(TrainConfig, [*lines, "--epochs=120"]))
    assert (again.path, longer.epochs, longer.pretrain_epochs) == (run.path, 120, before.pretrain_epochs)
    for more in ("--batch_size=16", "--batch_size=64", "--pretrain_epochs=0"):
        assert images_now(parse(TrainConfig, [*lines, more]))[1].path != run.path
    elsewhere = [*lines, f"--workdir={tmp_path / 'other'}"]
    assert images_now(parse(TrainConfig, elsewhere))[0].batch_size == 32  # 400 images, 320 to train on
    run.claim(before)
    with pytest.raises(Refusal, match="expected the flags of that run, --batch_size=16; got --batch_size=32"):
        RunDirectory.for_config(parse(TrainConfig, [*lines, f"--workdir={run.path}", "--batch_size=32"]))


def test_the_default_batch_fits_what_is_left(tmp_path):
    """Of 20 images in each class 10 are unreadable, and 8 of the others are equal and so on one side."""
    write_images(tmp_path, 40)
    for name in ("a", "b"):
        for i in range(20):
            if i >= 10:
                (tmp_path / name / f"{i}.png").write_text("no image")
            elif i >= 3:
                shutil.copy(tmp_path / name / "2.png", tmp_path / name / f"{i}.png")
    asked = parse(TrainConfig, [*command(tmp_path, "--skip_unreadable", "--test_fraction=0.5"), "--image_size=32"])
    dataset, files = to_train(asked, described("folder", str(tmp_path), (32, 32)))
    config, left = settled(asked, dataset.train_images), len(files.train) - held_out(len(files.train))
    assert 4 <= config.batch_size <= left < 16
    check_run(config, dataset, build(config, dataset), left)
