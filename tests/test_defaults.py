"""With no other flag than the data and the method, every method trains well above chance."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageDraw

from robust_tf.data import DATASETS
from robust_tf.flags.declare import parse
from robust_tf.training.config import TrainConfig
from robust_tf.training.methods import METHODS
from robust_tf.training.run import train

SHAPES = ("circle", "square", "triangle")
TRAINING = [name for name in METHODS if name != "none"]
COUNTS = {"train": 40, "test": 10}


@pytest.fixture(scope="session")
def shapes(once):
    """A folder of small colour images: one bright shape on a dark, noisy ground."""

    def make(folder):
        random = np.random.default_rng(0)
        for split, count in COUNTS.items():
            for name in SHAPES:
                (folder / split / name).mkdir(parents=True)
                for i in range(count):
                    drawn(random, name).save(folder / split / name / f"{i}.png")

    return once("shapes", make)


def drawn(random, name):
    image = Image.fromarray(random.integers(0, 80, (48, 48, 3), np.uint8))
    (x, y), side, colour = random.integers(4, 16, 2), random.integers(18, 28), tuple(random.integers(120, 255, 3))
    pencil = ImageDraw.Draw(image)
    if name == "circle":
        pencil.ellipse((x, y, x + side, y + side), fill=colour)
    elif name == "square":
        pencil.rectangle((x, y, x + side, y + side), fill=colour)
    else:
        pencil.polygon([(x, y + side), (x + side, y + side), (x + side // 2, y)], fill=colour)
    return image


def clean_accuracy(workdir, *flags):
    """Of held-out images, after training with these flags alone."""
    summary = train(parse(TrainConfig, [f"--workdir={workdir}", *flags])).summary()
    assert summary.guess is None
    return summary.clean_accuracy


@pytest.mark.slow
@pytest.mark.parametrize("method", TRAINING)
def test_digits(tmp_path, method):
    assert clean_accuracy(tmp_path / "run", f"--method={method}") > 0.9  # chance is 0.1


@pytest.mark.slow
@pytest.mark.parametrize("method", TRAINING)
def test_a_small_folder_of_colour_images(tmp_path, shapes, method):
    data = ("--dataset=folder", f"--data_dir={shapes}")
    assert clean_accuracy(tmp_path / "run", *data, f"--method={method}") > 0.6  # chance is 0.33


@pytest.mark.slow
@pytest.mark.parametrize("method", TRAINING)
def test_mnist(tmp_path, monkeypatch, data_dir, method):
    """Its first 600 images, at its own radius of 0.3: all of them take hours."""
    whole = DATASETS["mnist"]
    few = lambda split, data_dir: [part[:600] for part in whole.load(split, data_dir)]
    monkeypatch.setitem(DATASETS, "mnist", dataclasses.replace(whole, load=few, train_images=600))
    data = ("--dataset=mnist", f"--data_dir={data_dir}")
    assert clean_accuracy(tmp_path / "run", *data, f"--method={method}") > 0.5  # chance is 0.1


@pytest.mark.slow
def test_a_short_run_to_few_weights_does_not_explode(tmp_path):
    """1 % of the weights after three epochs: too short to learn much."""
    flags = ["--method=admm", "--ratio=0.01", "--epochs=3"]
    losses = [
        row.adversarial_loss for row in train(parse(TrainConfig, [f"--workdir={tmp_path / 'run'}", *flags])).history()
    ]
    assert len(losses) == 3
    assert max(losses) < 2 * np.log(10)  # twice that of a uniform guess
