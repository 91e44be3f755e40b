"""What a run's flags make of a net's kernels: depthwise ones, options, and what is infeasible."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.flags.declare import parse
from robust_tf.models.kernels import count, kernels
from robust_tf.projections import PROJECTIONS
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig
from robust_tf.training.prepare import PREPARATIONS
from robust_tf.training.projection import check_feasible, projection


@pytest.fixture
def depthwise_net():
    """75 + 45 + 50 + 30 kernel weights; the second layer is depthwise."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((7, 7, 3)),
            layers.Conv2D(5, (5, 1), name="conv"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Conv2D(10, 1, name="point"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="logits"),
        ]
    )


def config(name, ratio, *flags):
    return parse(TrainConfig, [f"--projection={name}", f"--ratio={ratio}", *flags])


@pytest.mark.parametrize("name", PROJECTIONS)
def test_every_projection_takes_depthwise_kernels(depthwise_net, name):
    W = kernels(depthwise_net)
    assert count(W) == 200
    Z = projection(config(name, 0.6), depthwise_net)(W, 120)
    assert [z.shape for z in Z] == [w.shape for w in W]
    if name != "low_rank":
        assert sum(np.count_nonzero(z) for z in Z) <= 120


@pytest.mark.parametrize("name", ["per_layer", "funnel", "low_rank"])
def test_depthwise_kernels_are_exempt_and_count(depthwise_net, name):
    W = kernels(depthwise_net)
    Z = projection(config(name, 0.6), depthwise_net)(W, 120)
    np.testing.assert_array_equal(Z[1], W[1])
    if name != "low_rank":
        assert sum(np.count_nonzero(z) for z in Z) == 120


def test_a_depthwise_filter_is_a_channel_of_it(depthwise_net):
    W = kernels(depthwise_net)
    W[1].assign(W[1] * tf.reshape(tf.constant([1.0, 0.0, 1.0, 1.0, 1e-4]), (1, 1, 5, 1)))
    Z = projection(config("channel", 0.95), depthwise_net)(W, 190)[1].numpy()
    np.testing.assert_array_equal(Z.any(axis=(0, 1, 3)), [True, False, True, True, False])


@pytest.mark.parametrize(
    ("name", "ratio", "flags", "message"),
    [
        ("per_layer", 0.2, (), "--projection=per_layer --ratio=0.2: expected k >= 48, the exempt weights"),
        ("funnel", 0.25, ("--delta=0.3",), "--projection=funnel --ratio=0.25: expected k >= "),
        ("funnel", 0.9, ("--delta=0.7",), "expected delta <= 1 / 2, for 3 fractions"),
        ("low_rank", 0.2, (), "expected k >= 93, the weights at rank 1 in every layer; got 40"),
        ("irregular", 0.25, ("--floor=0.3",), "the sum of the layers' floors; got 50"),
    ],
)
def test_what_is_infeasible_says_which_constraint_fails(depthwise_net, name, ratio, flags, message):
    with pytest.raises(Refusal) as refusal:
        check_feasible(config(name, ratio, *flags), depthwise_net)
    assert message in str(refusal.value)


def test_alr_that_cannot_be(depthwise_net):
    with pytest.raises(Refusal, match=r"--ratio=0.2: expected k >= 93"):
        check_feasible(parse(TrainConfig, ["--method=alr", "--ratio=0.2"]), depthwise_net)


def test_thin_layers_keep_the_budget_and_the_best_approximation(depthwise_net):
    asked = parse(TrainConfig, ["--method=alr", "--ratio=0.7"])
    Z = projection(config("low_rank", 0.7), depthwise_net)(kernels(depthwise_net), 140)
    thin = PREPARATIONS["low_rank"](asked, depthwise_net, 140)
    assert count(kernels(thin)) <= 140
    for w, z in zip(kernels(depthwise_net), Z):
        w.assign(z)
    x = np.random.default_rng(0).random((4, 7, 7, 3), np.float32)
    np.testing.assert_allclose(thin(x), depthwise_net(x), atol=1e-5)


def test_quantised_factors_have_few_values(depthwise_net):
    asked = parse(TrainConfig, ["--method=atmc", "--codebook_epochs=1", "--bits=2"])
    net = PREPARATIONS["cluster"](asked, PREPARATIONS["factorise"](asked, depthwise_net, 0), 0)
    for w in (net.get_layer("conv").kernel, net.get_layer("depthwise").depthwise_kernel):
        assert 2 <= len(np.unique(w)) <= 4
