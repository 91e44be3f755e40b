"""The net that a configuration names."""

import pytest

from robust_tf.data import DATASETS
from robust_tf.flags.declare import parse
from robust_tf.models.build import build
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig


def test_normalisation_and_options_reach_the_net():
    net = build(parse(TrainConfig, ["--dataset=cifar10", "--model=lenet", "--conv_relu"]), DATASETS["cifar10"])
    assert net.get_layer("normalise").scale[0] == pytest.approx(1 / 0.2470)
    assert net.get_layer("conv1").activation.__name__ == "relu"
    plain = build(parse(TrainConfig, ["--width=0.2"]), DATASETS["digits"])
    assert [layer.name for layer in plain.layers][:2] == ["image", "conv1"]


def test_images_that_a_net_leaves_nothing_of_are_refused():
    config = parse(TrainConfig, ["--dataset=cifar10", "--model=convnet_stl10"])
    with pytest.raises(Refusal) as refusal:
        build(config, DATASETS["cifar10"])
    message = str(refusal.value)
    assert "--model=convnet_stl10: expected larger images; got (32, 32, 3): Negative dimension size" in message
    assert "\n" not in message
