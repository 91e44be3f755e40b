"""Default batch sizes and numbers of epochs."""

import pytest

from robust_tf.data.held_out import held_out
from robust_tf.flags.declare import parse
from robust_tf.training.config import TrainConfig
from robust_tf.training.lengths import default_batch_size, default_epochs
from robust_tf.training.rundir import RunDirectory


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
    unread = parse(TrainConfig, ["--dataset=folder", "--data_dir=/nowhere"])  # refused by the command
    assert (unread.batch_size, unread.epochs) == (128, 20)


def test_a_run_keeps_its_lengths_when_its_folder_grows(tmp_path):
    """As the run has recorded its images."""
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(20):
            (tmp_path / "data" / name / f"{i}.png").touch()
    command = ["--dataset=folder", f"--data_dir={tmp_path / 'data'}", f"--workdir={tmp_path / 'run'}"]
    before = parse(TrainConfig, command)
    RunDirectory(tmp_path / "run").path.mkdir()
    RunDirectory(tmp_path / "run").claim(before)
    for i in range(20, 2000):
        (tmp_path / "data" / "a" / f"{i}.png").touch()
    after, new = parse(TrainConfig, command), parse(TrainConfig, command[:2])
    assert (after.batch_size, after.epochs) == (before.batch_size, before.epochs) == (16, 100)
    assert new.batch_size == 128  # 1,293 images to train on
