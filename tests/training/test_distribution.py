"""Several devices take the steps of one: whole trainings compared, on one CPU device and on two logical ones."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.data.augment import augment
from robust_tf.data.pipeline import stream
from robust_tf.flags.declare import parse
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig
from robust_tf.training.distribution import check_batch, strategy, validation_data

# Two replicas need two devices, which TensorFlow must know of before its first operation.
COMPARES = """
import json, sys
import robust_tf
import numpy as np
import tensorflow as tf
import tf_keras as keras
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from robust_tf.training.config import TrainConfig
from robust_tf.flags.declare import parse
from robust_tf.training.run import train

workdir, *flags = sys.argv[1:]
nets = []
for distribution in ("none", "mirrored"):
    run = f"{workdir}/{distribution}"
    train(parse(TrainConfig, [f"--workdir={run}", f"--distribution={distribution}", *flags]))
    nets.append(keras.models.load_model(f"{run}/model.keras", compile=False).get_weights())
differences = [float(np.abs(one - other).max()) for one, other in zip(*nets)]
supports = all(((one != 0) == (other != 0)).all() for one, other in zip(*nets))
size = max(float(np.abs(w).max()) for w in nets[0])
print(json.dumps({"largest": max(differences), "supports": bool(supports), "size": size}))
"""
# Two steps an epoch, and an attack without signs: those and the projection's choice of weights magnify rounding.
FLAGS = ("--steps=2", "--batch_size=574", "--norm=l2", "--eps=1", "--eps_schedule=0:1", "--augment=crop,flip")
RUNS = {
    "admm": ("--width=0.2", "--ratio=0.3", "--epochs=1", "--finetune_epochs=1", "--admm_interval=1"),
    "atmc": ("--width=0.2", "--ratio=0.3", "--method=atmc", "--l0_epochs=1", "--epochs=1"),
    "batch norm": ("--model=resnet8", "--width=0.5", "--method=da", "--epochs=1", "--ema=0.5", "--clip_norm=1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_two_devices_take_the_steps_of_one(tmp_path, name):
    """To rounding."""
    command = [sys.executable, "-c", COMPARES, str(tmp_path), *FLAGS, *RUNS[name]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["size"] > 0.1
    assert found["largest"] < 1e-4 * found["size"]
    if name != "batch norm":
        assert found["supports"]
    histories = [(tmp_path / run / "history.csv").read_text().splitlines() for run in ("none", "mirrored")]
    assert len(histories[0]) == len(histories[1]) > 1


@pytest.mark.parametrize("num_parts", [2, 4])
def test_the_parts_of_a_batch_are_the_batch(num_parts):
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 2), np.uint8)
    labels = np.arange(20)
    wholes = stream(images, labels, 8, seed=3, first_step=1, varied=("crop", "flip", "rotate")).take(3)
    settings = {"seed": 3, "first_step": 1, "varied": ("crop", "flip", "rotate"), "num_parts": num_parts}
    parts = stream(images, labels, 8, **settings).take(3 * num_parts)
    x, y = (np.concatenate(each) for each in zip(*((x.numpy(), y.numpy()) for x, y in wholes)))
    x_parts, y_parts = (np.concatenate(each) for each in zip(*((x.numpy(), y.numpy()) for x, y in parts)))
    np.testing.assert_array_equal(y_parts, y)
    np.testing.assert_allclose(x_parts, x, atol=1e-6)

    last = stream(images, labels, 8, **settings, parts=range(1, num_parts))
    y_last = np.concatenate([y.numpy() for _, y in last.take(3 * (num_parts - 1))])
    np.testing.assert_array_equal(y_last.reshape(3, -1), y.reshape(3, 8)[:, 8 // num_parts :])


def test_a_part_is_varied_as_in_its_batch():
    x = tf.random.stateless_uniform((6, 8, 8, 1), (0, 0))
    whole = augment(x, 1, 2, ("crop", "rotate"))
    part = augment(x[4:], 1, 2, ("crop", "rotate"), share=(2, 3))
    np.testing.assert_allclose(part, whole[4:], atol=1e-6)


@pytest.mark.parametrize("images", [1, 287, 500, 501, 2000])
def test_validation_sees_every_image_once(images):
    one = tf.distribute.get_strategy()
    data, number = validation_data(one, np.zeros((images, 2, 2, 1), np.uint8), np.arange(images))
    sizes = [len(y) for _, y in data]
    assert np.array_equal(np.concatenate([y for _, y in data]), np.arange(images))
    assert max(sizes) <= 500
    assert len(sizes) == number
    assert max(sizes) - min(sizes) < len(sizes)


@pytest.mark.parametrize("images", [3, 287, 501])
def test_the_replicas_of_the_workers_validate_every_image_once(monkeypatch, images):
    """Three workers of one replica each: every batch in three parts, none of them empty."""
    devices = tf.distribute.get_strategy()
    monkeypatch.setattr(type(devices), "num_replicas_in_sync", 3)
    seen = []
    for worker in range(3):
        context = tf.distribute.InputContext(3, worker, num_replicas_in_sync=3)
        monkeypatch.setattr(
            type(devices), "distribute_datasets_from_function", lambda _, data, context=context: data(context)
        )
        data, number = validation_data(devices, np.zeros((images, 2, 2, 1), np.uint8), np.arange(images))
        seen.append([y.numpy() for _, y in data])
        assert len(seen[-1]) == number
        assert min(len(y) for y in seen[-1]) > 0
    np.testing.assert_array_equal(np.concatenate([y for batch in zip(*seen) for y in batch]), np.arange(images))
    with pytest.raises(Refusal, match="expected a held-out image for each of 3 devices; got 2"):
        validation_data(devices, np.zeros((2, 2, 2, 1), np.uint8), np.arange(2))


def test_one_device_is_no_strategy():
    assert strategy("mirrored") is tf.distribute.get_strategy()


def test_a_batch_that_cannot_be_shared_out(monkeypatch):
    devices = tf.distribute.get_strategy()
    monkeypatch.setattr(type(devices), "num_replicas_in_sync", 3)
    config = parse(TrainConfig, ["--distribution=mirrored", "--batch_size=128"])
    with pytest.raises(Refusal, match="expected a multiple of the 3 devices with --distribution=mirrored; got 128"):
        check_batch(devices, config)
