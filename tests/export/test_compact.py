"""The smaller net computes the same function, and is as small as the zeros allow."""

from functools import partial

import numpy as np
import pytest
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_tf.data import DATASETS
from robust_tf.export.compact import compact
from robust_tf.models import MODELS
from robust_tf.models.kernels import is_depthwise, kernel_layers, kernel_of, multiply_adds

layers = keras.layers
LEAST = {"lenet": 16, "convnet_stl10": 96}  # pixels that a net needs
WIDTH = {"wrn_16_8": 0.05}


@pytest.fixture(autouse=True)
def double():
    """In float64 rounding hides no error."""
    keras.backend.set_floatx("float64")
    yield
    keras.backend.set_floatx("float32")
    keras.backend.clear_session()


def randomised(net, x, rng, weights, filters):
    """Zeros at random, in whole filters and inputs too, and batch norm of every kind; activations keep their scale."""
    for layer in kernel_layers(net):
        w = kernel_of(layer).numpy()
        kept = rng.random(w.shape) < weights
        kept &= (rng.random(w.shape[-2]) < filters)[:, None]
        if not is_depthwise(layer):
            kept &= rng.random(w.shape[-1]) < filters
        if layer is net.layers[-1]:
            kept[0] = True  # classes that depend on something
        kernel_of(layer).assign(w * kept)
        if layer.use_bias:
            layer.bias.assign(rng.normal(0, 0.3, layer.bias.shape))
    norms = [layer for layer in net.layers if isinstance(layer, layers.BatchNormalization)]
    for layer in norms:
        layer.gamma.assign(rng.normal(1, 0.5, layer.gamma.shape))
        layer.beta.assign(rng.normal(0, 0.5, layer.beta.shape))
        layer.momentum = 0.0
    net(x, training=True)  # the statistics of x
    for layer in norms:  # where they are of a constant, no magnifying of what differs from it
        variance = layer.moving_variance.numpy()
        layer.moving_variance.assign(np.where(variance < 1e-4, 1.0, variance))


def same_function(net, small, x):
    """The largest difference of logits is a millionth of what the images make of them."""
    logits = net(x, training=False).numpy()
    spread = np.ptp(logits, axis=0).max()
    np.testing.assert_allclose(small(x, training=False), logits, rtol=0, atol=1e-6 * max(spread, 1e-3))
    return spread


@pytest.mark.parametrize(("weights", "filters"), [(1, 1), (0.5, 0.9)])
@pytest.mark.parametrize("name", MODELS)
def test_every_net_keeps_its_function(name, weights, filters):
    rng = np.random.default_rng(1)
    keras.utils.set_random_seed(1)
    size = LEAST.get(name, 12)
    net = MODELS[name]((size, size, 3), 4, WIDTH.get(name, 0.25), normalisation=((0.5,) * 3, (0.25,) * 3))
    x = rng.random((8, size, size, 3))
    randomised(net, x, rng, weights, filters)
    small = compact(net)
    spread = same_function(net, small, x)
    images, _ = DATASETS["digits"].load("test")
    real = np.repeat(keras.layers.Resizing(size, size)(images[:8] / 255.0), 3, axis=-1)
    assert max(spread, same_function(net, small, real)) > 1e-3
    before, after = (sum(multiply_adds(each).values()) for each in (net, small))
    assert after == before if filters == weights == 1 else after < before
    norms = [layer.name for layer in small.layers if isinstance(layer, layers.BatchNormalization)]
    assert not norms or name.startswith("wrn")  # there they stand between a sum and a ReLU


def net_of(shape, *stack):
    image = x = keras.Input(shape, name="image")
    for layer in stack:
        x = layer(x)
    return keras.Model(image, x)


def sizes(net):
    return [w.shape[-1] for w in map(kernel_of, kernel_layers(net))]


def dead_filter(padding, then=layers.ReLU):
    """Two convolutions; of the first, filter 0 is zero with a bias of 1 and filter 1 is zero with a bias of -1."""
    first = layers.Conv2D(3, 3, name="first")
    net = net_of((6, 6, 2), first, then(), layers.Conv2D(2, 3, padding=padding, name="second"))
    first.set_weights([first.kernel.numpy() * (0, 0, 1), np.array([1.0, -1.0, 0.5])])
    return net


def test_a_dead_filters_constant_moves_into_the_next_bias():
    net = dead_filter("valid")
    small = compact(net)
    assert sizes(small) == [1, 2]
    second, smaller = net.get_layer("second"), small.get_layer("second")
    np.testing.assert_allclose(smaller.bias, second.kernel.numpy()[:, :, 0].sum((0, 1)), rtol=1e-12)  # ReLU(1) = 1
    same_function(net, small, np.random.default_rng(0).random((4, 6, 6, 2)))


def test_a_constant_that_meets_padding_stays():
    """It adds less at the borders, where the padding is; that of the other dead filter is ReLU(-1) = 0 everywhere."""
    net = dead_filter("same")
    small = compact(net)
    assert sizes(small) == [2, 2]
    same_function(net, small, np.random.default_rng(0).random((4, 6, 6, 2)))


def test_a_constant_that_only_central_taps_read_does_not_stay():
    net = dead_filter("same")
    kernel = net.get_layer("second").kernel
    centre = np.zeros((3, 3, 1, 1))
    centre[1, 1] = 1
    kernel.assign(kernel * centre)
    small = compact(net)
    assert sizes(small) == [1, 2]
    same_function(net, small, np.random.default_rng(0).random((4, 6, 6, 2)))


def test_a_filter_that_nobody_reads_goes_and_so_does_what_it_alone_read():
    stack = [layers.Conv2D(4, 1, activation="relu"), layers.Conv2D(3, 1, activation="relu"), layers.Flatten()]
    dense = layers.Dense(2)
    net = net_of((2, 2, 1), *stack, dense)
    stack[1].kernel.assign(stack[1].kernel * [[[[0, 1, 1], [0, 1, 1], [1, 0, 0], [1, 0, 0]]]])
    dense.kernel.assign(dense.kernel * np.tile([0, 1, 1], 4)[:, None])  # not filter 0 at any place
    small = compact(net)
    assert sizes(small) == [2, 2, 2]
    same_function(net, small, np.random.default_rng(0).random((4, 2, 2, 1)))


def test_two_linear_layers_become_one_where_that_is_less_work():
    def sandwich(rank):
        return net_of(
            (4, 4, 3),
            layers.Conv2D(rank, 3, padding="same", use_bias=False),
            layers.Conv2D(8, 1, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        )

    x = np.random.default_rng(0).random((4, 4, 4, 3))
    for rank, expected in ((6, [6, 8, 2]), (7, [8, 2])):  # 27 * 8 against (27 + 8) * rank
        net = sandwich(rank)
        small = compact(net)
        assert sizes(small) == expected
        same_function(net, small, x)


def branches(join):
    """A short and a long branch of four filters each, joined, and a convolution of two filters that reads them."""
    image = keras.Input((6, 6, 2), name="image")
    short = layers.Conv2D(4, 3, padding="same", name="short")(image)
    long = layers.Conv2D(4, 3, padding="same", name="long2")(layers.Conv2D(8, 3, padding="same", name="long1")(image))
    x = layers.Conv2D(2, 1, name="reader")(join()([short, long]))
    return keras.Model(image, layers.GlobalAveragePooling2D()(x))


def test_a_branch_that_nobody_reads_goes_whole():
    net = branches(layers.Concatenate)
    reader = net.get_layer("reader").kernel
    reader.assign(reader * (np.arange(8) < 4)[:, None])
    small = compact(net)
    assert {layer.name for layer in kernel_layers(small)} <= {"short", "reader"}
    same_function(net, small, np.random.default_rng(0).random((4, 6, 6, 2)))


@pytest.mark.parametrize("dead", ["short", "long2"])
def test_a_term_of_a_sum_that_is_zero_goes_whole(dead):
    net = branches(layers.Add)
    net.get_layer(dead).kernel.assign(net.get_layer(dead).kernel * 0)
    small = compact(net)
    gone = {"short"} if dead == "short" else {"long1", "long2"}
    assert not gone & {layer.name for layer in small.layers}
    same_function(net, small, np.random.default_rng(0).random((4, 6, 6, 2)))


def test_a_net_of_dead_layers_gives_its_constant():
    net = dead_filter("valid")
    net.get_layer("first").kernel.assign(net.get_layer("first").kernel * 0)
    small = compact(net)
    assert sizes(small) == [1, 2]
    x = np.random.default_rng(0).random((4, 6, 6, 2))
    np.testing.assert_allclose(small(x), net(x), atol=1e-6)


def test_layers_it_does_not_know_keep_all_channels():
    first = layers.Conv2D(4, 3, name="first")
    net = net_of((6, 6, 2), first, layers.LayerNormalization(), layers.Conv2D(2, 1, activation="softmax"))
    first.kernel.assign(first.kernel * (0, 0, 1, 1))
    small = compact(net)
    assert sizes(small) == [4, 2]
    same_function(net, small, np.random.default_rng(0).random((4, 6, 6, 2)))


def test_layers_that_never_train_are_as_others():
    """Batch norm and dropout that are called with training=False, as imported nets have them."""
    first = layers.Conv2D(3, 3, name="first")
    norm, drop = (partial(layer, training=False) for layer in (layers.BatchNormalization(), layers.Dropout(0.5)))
    net = net_of((6, 6, 2), first, norm, drop, layers.Conv2D(2, 1))
    first.kernel.assign(first.kernel * (0, 1, 1))
    small = compact(net)
    assert sizes(small) == [2, 2]
    same_function(net, small, np.random.default_rng(0).random((4, 6, 6, 2)))


def test_a_layer_that_trains_always_is_refused():
    with pytest.raises(ValueError, match="with tensors only; got drops"):
        compact(net_of((6, 6, 2), lambda x: layers.Dropout(0.5, name="drops")(x, training=True), layers.Conv2D(2, 1)))


def test_a_layer_that_is_called_twice_is_refused():
    twice = layers.Conv2D(2, 3, padding="same", name="twice")
    with pytest.raises(ValueError, match="expected layers that are called once, with tensors only; got twice"):
        compact(net_of((6, 6, 2), twice, twice))


KINDS = ("conv", "depthwise", "norm", "relu", "pool", "pad", "add", "join")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=7),
    padding=st.sampled_from(["same", "valid"]),
    multiplier=st.integers(1, 2),
    seed=st.integers(0, 1000),
)
def test_any_chain_of_layers_keeps_its_function(kinds, padding, multiplier, seed):
    """Also those no registered net has: constants through padding, multipliers, sums of what was joined."""
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    image = x = keras.Input((9, 9, 2), name="image")
    for kind in kinds:
        x = {
            "conv": lambda x: layers.Conv2D(4, 2, padding=padding, activation="relu")(x),
            "depthwise": lambda x: layers.DepthwiseConv2D(2, padding=padding, depth_multiplier=multiplier)(x),
            "norm": lambda x: layers.BatchNormalization()(x),
            "relu": lambda x: layers.ReLU()(x),
            "pool": lambda x: layers.AveragePooling2D(2, 1, padding="same")(x),
            "pad": lambda x: layers.ZeroPadding2D(1)(x),
            "add": lambda x: layers.Add()([x, layers.Conv2D(x.shape[-1], 1, activation="tanh")(x)]),
            "join": lambda x: layers.Concatenate()([layers.Conv2D(2, 1)(x), x]),
        }[kind](x)
    net = keras.Model(image, layers.Dense(3)(layers.Flatten()(x)))
    images = rng.random((4, 9, 9, 2))
    randomised(net, images, rng, 0.4, 0.7)
    same_function(net, compact(net), images)
