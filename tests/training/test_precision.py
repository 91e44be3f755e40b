"""What --mixed_precision computes in bfloat16, and what it does not."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.attacks.pgd import pgd
from robust_tf.flags.declare import parse
from robust_tf.models import MODELS
from robust_tf.models.kernels import kernel_layers, kernels
from robust_tf.models.load import load_net
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig
from robust_tf.training.distribution import placed
from robust_tf.training.precision import mixed_layers
from robust_tf.training.run import train

EPS = 2 / 255


@pytest.fixture(scope="module", params=["lenet", "resnet8"])
def nets(request):
    """A net, and its twin in mixed precision."""
    keras.utils.set_random_seed(0)
    net = MODELS[request.param].resolve()((16, 16, 3), 10, width=0.25)
    return net, placed(net, tf.distribute.get_strategy(), mixed_precision=True)


def test_the_first_kernel_and_the_logits_stay_float32(nets):
    net, twin = nets
    first, *between, last = (kernel.name.split("/")[0] for kernel in kernels(twin))
    assert {twin.get_layer(name).compute_dtype for name in (first, last)} == {"float32"}
    assert {twin.get_layer(name).compute_dtype for name in between} == {"bfloat16"}
    assert {w.dtype for w in twin.weights} == {tf.float32}
    assert twin.output.dtype == tf.float32
    assert placed(net, tf.distribute.get_strategy()) is net


def test_whatever_sees_the_image_stays_float32_and_whatever_follows_the_last_kernel():
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    stems = [layers.Conv2D(4, 3, padding="same", name=f"stem{i}")(image) for i in range(2)]
    joined = layers.Concatenate(name="seeing")([*stems, image])
    x = layers.ReLU(name="inside")(layers.Add(name="sum")(stems))
    x = layers.Concatenate(name="seeing_too")([x, joined])
    x = layers.Conv2D(5, 3, name="body")(x)
    x = layers.ReLU(name="body_relu")(x)
    x = layers.Conv2D(10, 1, name="logits")(x)
    net = keras.Model(image, layers.GlobalAveragePooling2D(name="mean")(x))
    assert mixed_layers(net) == {"sum", "inside", "body_relu"}


def test_a_layer_that_cannot_be_built_anew():
    class Own(keras.layers.Layer):
        def __init__(self):
            super().__init__()

        def get_config(self):
            return {}

    image = keras.Input((8, 8, 3))
    x = keras.layers.Dense(3)(Own()(keras.layers.Conv2D(4, 3)(image)))
    net = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    with pytest.raises(
        Refusal, match="--mixed_precision: expected layers that can be rebuilt from their configuration"
    ):
        placed(net, tf.distribute.get_strategy(), mixed_precision=True)


def test_a_perturbation_is_seen_whole(nets):
    """A hundredth of eps at pixels near 1, which bfloat16 would round away, changes the first kernel's output."""
    x = 0.9 + 0.05 * tf.random.stateless_uniform((8, 16, 16, 3), (0, 0))
    delta = EPS / 100 * tf.random.stateless_normal(x.shape, (1, 1))
    change = []
    for net in nets:
        first = keras.Model(net.input, kernel_layers(net)[0].output)
        change.append(first(x + delta) - first(x))
    np.testing.assert_allclose(change[1], change[0], atol=1e-6)
    assert np.abs(change[0]).max() > 1e-5


def test_logits_and_input_gradients_are_nearly_those_of_float32(nets):
    x = tf.random.stateless_uniform((16, 16, 16, 3), (0, 0))
    logits, gradients = [], []
    for net in nets:
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = net(x, training=False)
            loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(16) % 10, z))
        logits.append(z.numpy())
        gradients.append(tape.gradient(loss, x).numpy().ravel())
    assert 0 < np.abs(logits[1] - logits[0]).max() < 0.03 * np.abs(logits[0]).max()
    cosine = gradients[0] @ gradients[1] / np.linalg.norm(gradients[0]) / np.linalg.norm(gradients[1])
    assert 0.98 < cosine < 1


def test_attacks_step_in_float32(nets):
    _, twin = nets
    x = tf.random.stateless_uniform((4, 16, 16, 3), (0, 0))
    x_adv = pgd(lambda v: twin(v, training=False), x, tf.range(4), eps=EPS, steps=3, alpha=EPS / 7)
    assert x_adv.dtype == tf.float32
    assert np.abs(x_adv - x).max() <= EPS + 1e-7
    moved = np.abs(x_adv - x)[(x_adv.numpy() > 0) & (x_adv.numpy() < 1)]
    assert len(np.unique(np.round(moved, 5))) > 100  # not on a grid of 1/256


@pytest.mark.parametrize("method", ["admm", "atmc"])
def test_what_ships_is_float32(tmp_path, method):
    flags = ["--dataset=digits", "--width=0.2", "--steps=1", "--ratio=0.3", "--epochs=1", f"--method={method}"]
    flags += ["--finetune_epochs=1"] if method == "admm" else ["--l0_epochs=0"]
    net = load_net(train(parse(TrainConfig, [f"--workdir={tmp_path}", "--mixed_precision", *flags])).net_path)
    assert {layer.compute_dtype for layer in net.layers} == {"float32"}
    N = sum(w.shape.num_elements() for w in kernels(net))
    if method == "admm":
        assert 0 < sum(np.count_nonzero(w) for w in kernels(net)) <= 0.3 * N
