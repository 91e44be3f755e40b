import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.compression import masks
from robust_tf.models import MODELS
from robust_tf.models.fast import inference_form, training_form
from robust_tf.models.folded import FoldedConv
from robust_tf.training.distribution import placed

layers = keras.layers


def folded_layers(net):
    return [layer for layer in net.layers if isinstance(layer, FoldedConv)]


def unsettled(net, seed=0):
    """`net` with batch norms as after training: all of their variables are random."""
    generator = np.random.default_rng(seed)
    for layer in net.layers:
        if isinstance(layer, layers.BatchNormalization):
            for w in layer.weights:
                w.assign(generator.uniform(0.5, 1.5, w.shape))
    return net


def logits_and_gradient(net, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = net(x, training=False)
        loss = tf.reduce_sum(z * tf.random.stateless_normal(z.shape, (1, 1)))
    return z, tape.gradient(loss, x)


@pytest.mark.parametrize(
    "name",
    ["resnet8", "mobilenet_v1", "mobilenet_v2", "mobilenet_v2_edge", "shufflenet_v1", "shufflenet_v2", "wrn_10_1"],
)
def test_same_logits_and_gradients(name):
    keras.utils.set_random_seed(0)
    net = unsettled(MODELS[name]((32, 32, 3), 10, width=0.25))
    fast = inference_form(net)
    assert len(folded_layers(fast)) >= 4
    assert {id(v) for v in fast.variables} == {id(v) for v in net.variables}
    x = tf.random.stateless_uniform((3, 32, 32, 3), (0, 0))
    (z, gradient), (z_plain, gradient_plain) = logits_and_gradient(fast, x), logits_and_gradient(net, x)
    assert np.abs(z - z_plain).max() < 1e-4 * np.abs(z_plain).max()
    # Where a value lies within rounding of an activation's kink, its gradient may differ.
    assert np.linalg.norm(gradient - gradient_plain) < 0.03 * np.linalg.norm(gradient_plain)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("Conv", [layers.Conv2D, layers.DepthwiseConv2D, "grouped"])
def test_every_kind_of_layer(Conv, scale, center):
    conv = layers.Conv2D(6, 3, groups=3) if Conv == "grouped" else None
    conv = conv or (layers.Conv2D(5, 3, 2, "same") if Conv is layers.Conv2D else Conv(3, depth_multiplier=2))
    image = keras.Input((7, 8, 3))
    x = layers.BatchNormalization(scale=scale, center=center)(conv(image))
    net = unsettled(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))))
    conv.bias.assign(tf.range(conv.bias.shape[0], dtype=tf.float32))
    fast = inference_form(net)
    assert len(folded_layers(fast)) == 1
    x = tf.random.stateless_uniform((3, 7, 8, 3), (0, 0))
    for quick, plain in zip(logits_and_gradient(fast, x), logits_and_gradient(net, x)):
        np.testing.assert_allclose(quick, plain, atol=1e-4 * np.abs(plain).max())


def test_is_never_out_of_date():
    net = MODELS["resnet8"]((16, 16, 3), 10, width=0.25)
    fast = tf.function(inference_form(net))
    x = tf.random.stateless_uniform((3, 16, 16, 3), (0, 0))
    fast(x)
    unsettled(net)
    expected = net(x, training=False)
    np.testing.assert_allclose(fast(x), expected, atol=1e-4 * np.abs(expected).max())


def test_only_in_inference_mode():
    net = MODELS["resnet8"]((16, 16, 3), 10, width=0.25)
    assert training_form(net) is net


def test_a_net_that_shares_its_layers_with_another():
    """As that of masks' wrappers does."""
    net = MODELS["resnet8"]((16, 16, 3), 10, width=0.25)
    number = len(folded_layers(inference_form(net)))
    masks.wrap(net)
    assert len(folded_layers(inference_form(net))) == number > 5


@pytest.mark.parametrize(
    "wrong", ["read twice", "activation", "axis", "both are logits", "called twice", "batch statistics"]
)
def test_other_layers_stay_as_they_are(wrong):
    image = keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 3, padding="same", activation="relu" if wrong == "activation" else None)
    x = conv(image)
    always = {"training": True} if wrong == "batch statistics" else {}
    y = layers.BatchNormalization(axis=1 if wrong == "axis" else -1)(x, **always)
    if wrong == "read twice":
        y = layers.Add()([x, y])
    if wrong == "called twice":
        y = layers.Add()([y, conv(layers.ReLU()(y))])
    net = keras.Model(image, [x, y] if wrong == "both are logits" else y)
    assert inference_form(net) is net


def test_in_lower_precision():
    keras.utils.set_random_seed(0)
    net = placed(MODELS["resnet8"]((16, 16, 3), 10, width=0.25), tf.distribute.get_strategy(), mixed_precision=True)
    x = tf.random.stateless_uniform((3, 16, 16, 3), (0, 0))
    fast = inference_form(unsettled(net))
    for each in folded_layers(fast):
        assert each.output.dtype == net.get_layer(each.norm.name).output.dtype
    expected = net(x, training=False)
    assert np.abs(fast(x) - expected).max() < 0.05 * np.abs(expected).max()
