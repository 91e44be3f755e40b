"""RobustModel: its loss by hand, what its attack may not touch, and that it trains like a Keras model."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.attacks.pgd import pgd
from robust_tf.certification.bounds import worst_logits
from robust_tf.compression.admm import Admm
from robust_tf.models.kernels import kernels
from robust_tf.projections.irregular import irregular
from robust_tf.refusal import Refusal
from robust_tf.training.constraints import WeightConstraint
from robust_tf.training.losses import divergence
from robust_tf.training.model import RobustModel


def cross_entropy(logits, y):
    return float(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)))


@pytest.fixture
def plain_net():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6, 5, 2)), keras.layers.Conv2D(4, 3, activation="relu"),
                             keras.layers.Flatten(), keras.layers.Dense(3)])  # fmt: skip


@pytest.mark.parametrize("adv_weight", [0.0, 0.3, 1.0])
def test_the_loss_is_the_stated_mix_plus_the_penalty(plain_net, small_images, adv_weight):
    x, y = small_images
    admm = Admm(kernels(plain_net), irregular, rho=0.7)
    admm.start(10)
    hold = WeightConstraint(penalty=admm.penalty)
    model = RobustModel(plain_net, eps=0.1, steps=3, adv_weight=adv_weight, constraint=hold, seed=5, first_step=11)
    model.compile(keras.optimizers.SGD(0.0))
    attack = {"eps": 0.1, "steps": 3, "seed": (5, 11)}
    x_adv = pgd(lambda images: plain_net(images, training=False), tf.constant(x), y, **attack)
    clean, adversarial = cross_entropy(plain_net(x), y), cross_entropy(plain_net(x_adv), y)
    logs = model.train_on_batch(x, y, return_dict=True)
    expected = adv_weight * adversarial + (1 - adv_weight) * clean + float(admm.penalty())
    assert logs["loss"] == pytest.approx(expected, rel=1e-4)
    assert logs["clean_loss"] == pytest.approx(clean, rel=1e-4)
    assert logs["adversarial_loss"] == pytest.approx(adversarial if adv_weight else clean, rel=1e-4)


def test_a_step_is_the_gradient_of_the_mix(plain_net, small_images):
    x, y = small_images
    model = RobustModel(plain_net, eps=0.1, steps=2, adv_weight=0.6)
    model.compile(keras.optimizers.SGD(0.5))
    x_adv = pgd(lambda images: plain_net(images, training=False), tf.constant(x), y, eps=0.1, steps=2, seed=(0, 0))
    with tf.GradientTape() as tape:
        loss = [tf.nn.sparse_softmax_cross_entropy_with_logits(y, plain_net(images)) for images in (x_adv, x)]
        loss = tf.reduce_mean(0.6 * loss[0] + 0.4 * loss[1])
    W = plain_net.trainable_variables
    expected = [w - 0.5 * g for w, g in zip(W, tape.gradient(loss, W))]
    model.train_on_batch(x, y)
    for w, value in zip(W, expected):
        np.testing.assert_allclose(w, value, atol=1e-5)


def test_attacks_leave_batch_statistics_alone(small_net, small_images):
    x, y = small_images
    model = RobustModel(small_net, eps=0.1, steps=2)
    model.compile("adam")
    statistics = [w.numpy() for w in small_net.get_layer("norm").non_trainable_variables]
    model.evaluate(x, y, verbose=0)
    for before, after in zip(statistics, small_net.get_layer("norm").non_trainable_variables):
        np.testing.assert_array_equal(before, after)
    model.train_on_batch(x, y)
    assert (small_net.get_layer("norm").moving_mean.numpy() != statistics[0]).any()


def test_attacks_leave_statistics_alone_that_no_convolution_takes_in(small_images):
    layers = keras.layers
    net = keras.Sequential([keras.Input((6, 5, 2)), layers.BatchNormalization(), layers.Flatten(), layers.Dense(3)])
    model = RobustModel(net, eps=0.1, steps=2)
    model.compile("adam")
    before = [w.numpy() for w in net.non_trainable_variables]
    model.evaluate(*small_images, verbose=0)
    for w, value in zip(net.non_trainable_variables, before):
        np.testing.assert_array_equal(w, value)


def test_evaluate_reports_clean_and_robust_accuracy(plain_net, small_images):
    x, y = small_images
    model = RobustModel(plain_net, eps=0.0, steps=2)
    model.compile("adam")
    at_zero = model.evaluate(x, y, verbose=0, return_dict=True)
    assert at_zero["accuracy"] == at_zero["robust_accuracy"]
    assert at_zero["accuracy"] == pytest.approx(np.mean(plain_net(x).numpy().argmax(-1) == y))
    model = RobustModel(plain_net, eps=0.5, steps=2)
    model.compile("adam")
    assert model.evaluate(x, y, verbose=0, return_dict=True)["robust_accuracy"] < at_zero["accuracy"]


def test_it_learns_to_resist(digits):
    x, y = digits[0][:, ::2, ::2], digits[1]
    robust = {}
    for adv_weight in (0.0, 0.9):
        keras.utils.set_random_seed(0)
        net = keras.Sequential([keras.Input((14, 14, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
        model = RobustModel(net, eps=0.1, steps=3, adv_weight=adv_weight)
        model.compile(keras.optimizers.Adam(0.01))
        model.fit(x, y, batch_size=64, epochs=40, verbose=0)
        robust[adv_weight] = model.evaluate(x, y, verbose=0, return_dict=True)["robust_accuracy"]
    assert robust[0.9] > robust[0.0] + 0.1


def test_bounds_in_place_of_an_attack(small_images):
    """The loss by hand: the weight of the worst logits is adv_weight * eps / (validation eps)."""
    x, y = small_images
    keras.utils.set_random_seed(0)
    layers = keras.layers
    net = keras.Sequential(
        [keras.Input((6, 5, 2)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3)]
    )
    model = RobustModel(net, eps=0.1, loss="ibp", adv_weight=0.5, validation_eps=0.2)
    model.compile(keras.optimizers.SGD(0.0))
    clean, worst = cross_entropy(net(x), y), cross_entropy(worst_logits(net, x, y, 0.1), y)
    logs = model.train_on_batch(x, y, return_dict=True)
    assert logs["loss"] == pytest.approx(0.25 * worst + 0.75 * clean, rel=1e-4)
    assert logs["adversarial_loss"] == pytest.approx(worst, rel=1e-4)


@pytest.mark.parametrize("weights", [None, np.float32([1, 2, 0, 1, 1, 3, 1, 1])])
def test_a_teacher_takes_the_place_of_the_labels(plain_net, small_images, weights):
    """In the loss, RSLAD's 5/6 CE(t, z_adv) + 1/6 CE(t, z), and in the attack; accuracies are of the labels."""
    x, y = small_images
    keras.utils.set_random_seed(1)
    teacher = keras.Sequential([keras.Input((6, 5, 2)), keras.layers.Flatten(), keras.layers.Dense(3)])
    teacher.layers[-1].kernel.assign(5 * teacher.layers[-1].kernel)
    before = teacher.get_weights()
    t = tf.nn.softmax(teacher(x))
    towards = lambda z: tf.nn.softmax_cross_entropy_with_logits(t, z)
    x_adv = pgd(plain_net, tf.constant(x), y, eps=0.1, steps=3, objective=towards)
    model = RobustModel(plain_net, eps=0.1, steps=3, adv_weight="5/6", teacher=teacher)
    model.compile(keras.optimizers.SGD(0.0))
    z, z_adv = plain_net(x), plain_net(x_adv)
    expected = tf.reduce_mean((5 / 6 * towards(z_adv) + 1 / 6 * towards(z)) * (1 if weights is None else weights))
    logs = model.train_on_batch(x, y, sample_weight=weights, return_dict=True)
    assert logs["loss"] == pytest.approx(float(expected), rel=1e-4)
    assert logs["robust_accuracy"] == pytest.approx((np.argmax(z_adv, -1) == y).mean())
    assert len(model.trainable_weights) == len(plain_net.trainable_weights)
    model.compile(keras.optimizers.SGD(0.1))
    model.train_on_batch(x, y)
    for w, old in zip(teacher.get_weights(), before):
        np.testing.assert_array_equal(w, old)


@pytest.mark.parametrize(
    ("shape", "classes", "loss", "message"),
    [
        ((6, 5, 1), 3, "mix", "expected images of shape (6, 5, 2), as the net's; got (6, 5, 1)"),
        ((6, 5, 2), 4, "mix", "expected logits of shape (3,), as the net's; got (4,)"),
        ((6, 5, 2), 3, "ibp", "expected a loss without interval bounds with it; got 'ibp'"),
    ],
)
def test_a_teacher_that_does_not_fit(plain_net, shape, classes, loss, message):
    teacher = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)])
    with pytest.raises(Refusal, match=f"^teacher: {re.escape(message)}$"):
        RobustModel(plain_net, eps=0.1, loss=loss, teacher=teacher)
    own = RobustModel(plain_net, eps=0.1, teacher=plain_net)
    with pytest.raises(Refusal, match=r"^loss: expected the default, the cross-entropy, with a teacher; got another"):
        own.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))


@pytest.mark.parametrize("loss", ["sabr", "mtl_ibp", "ibp_int8"])
def test_bounds_beside_an_attack_or_of_an_int8_file(small_images, loss):
    """The losses by hand, at the radius 0.1 that the run ends with."""
    x, y = small_images
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((6, 5, 2)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model = RobustModel(net, eps=0.1, loss=loss, adv_weight=0.3, steps=2, box=0.25)
    model.compile(keras.optimizers.SGD(0.0))
    x_adv = model.adversarial(tf.constant(x), tf.constant(y)).numpy()
    assert np.abs(x_adv - x).max() > 0.05
    first, worst = {
        "sabr": (net(x), worst_logits(net, np.clip(x_adv, x - 0.075, x + 0.075), y, 0.025)),
        "mtl_ibp": (net(x_adv), worst_logits(net, x, y, 0.1)),
        "ibp_int8": (net(x), worst_logits(net, x, y, 0.1, levels=255)),
    }[loss]
    logs = model.train_on_batch(x, y, return_dict=True)
    assert logs["loss"] == pytest.approx(0.3 * cross_entropy(worst, y) + 0.7 * cross_entropy(first, y), rel=1e-4)
    assert logs["accuracy"] == pytest.approx((np.argmax(net(x), -1) == y).mean())
    assert logs["clean_loss"] == pytest.approx(cross_entropy(net(x), y), rel=1e-4)
    assert model.strictest == "certified_accuracy"


def test_certified_accuracy_is_validated_and_selects(small_images):
    x, y = small_images
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((6, 5, 2)), keras.layers.Flatten(), keras.layers.Dense(3)])
    labels = np.where(np.arange(len(y)) < 6, np.argmax(net(x), -1), y)
    for eps in (0.005, 0.02, 0.1):
        model = RobustModel(net, eps=0.1, loss="ibp", adv_weight=0.5, validation_eps=eps)
        model.compile("adam")
        proven = (worst_logits(net, x, labels, eps).numpy() <= 0).all(-1).mean()
        measured = model.evaluate(x, labels, verbose=0, return_dict=True)
        assert measured["certified_accuracy"] == pytest.approx(proven)
        assert measured["certified_accuracy"] <= measured["robust_accuracy"] <= measured["accuracy"]
    assert model.strictest == "certified_accuracy"
    assert RobustModel(net, eps=0.1).strictest == "robust_accuracy"


def test_one_step_of_fgsm_rs(plain_net, small_images):
    x, y = small_images
    model = RobustModel(plain_net, eps=0.1, attack="fgsm_rs", adv_weight=1.0, seed=3)
    model.compile(keras.optimizers.SGD(0.0))
    x_adv = pgd(
        lambda images: plain_net(images, training=False), tf.constant(x), y, eps=0.1, steps=1, alpha=0.125, seed=(3, 0)
    )
    logs = model.train_on_batch(x, y, return_dict=True)
    assert logs["adversarial_loss"] == pytest.approx(cross_entropy(plain_net(x_adv), y), rel=1e-4)


def test_one_step_of_n_fgsm(plain_net, small_images):
    """From noise of up to 2 eps, with a step of eps; nothing is projected onto the ball, only into [0, 1]."""
    x, y = small_images
    model = RobustModel(plain_net, eps=0.1, attack="n_fgsm", adv_weight=1.0, seed=3)
    model.compile(keras.optimizers.SGD(0.0))
    drawn = x + 0.2 * tf.random.stateless_uniform(x.shape, (3, 0), -1.0, 1.0)
    with tf.GradientTape() as tape:
        tape.watch(drawn)
        loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(y, plain_net(drawn)))
    x_adv = np.clip(drawn + 0.1 * tf.sign(tape.gradient(loss, drawn)), 0, 1)
    assert 0.2 < np.abs(x_adv - x).max() <= 0.3 + 1e-6
    logs = model.train_on_batch(x, y, return_dict=True)
    assert logs["adversarial_loss"] == pytest.approx(cross_entropy(plain_net(x_adv), y), rel=1e-4)


def test_trades_attacks_its_own_divergence(plain_net, small_images):
    x, y = small_images
    model = RobustModel(plain_net, eps=0.1, steps=3, loss="trades", beta=2.0)
    model.compile(keras.optimizers.SGD(0.0))
    z = plain_net(x)
    x_adv = pgd(
        lambda images: plain_net(images, training=False), tf.constant(x), y, eps=0.1, steps=3, starts=("gaussian",),
        objective=lambda z_adv: divergence(z, z_adv),
    )  # fmt: skip
    expected = cross_entropy(z, y) + 2 * float(tf.reduce_mean(divergence(z, plain_net(x_adv))))
    assert model.train_on_batch(x, y, return_dict=True)["loss"] == pytest.approx(expected, rel=1e-4)
    assert float(tf.reduce_mean(divergence(z, plain_net(x_adv)))) > 1e-3


def test_some_clean_images_are_measured_where_none_has_weight(small_net):
    generator = np.random.default_rng(0)
    x, y = generator.random((40, 6, 5, 2), np.float32), generator.integers(0, 3, 40)
    logits = small_net(x, training=False).numpy()
    model = RobustModel(small_net, eps=0.1, steps=1, adv_weight=1.0)
    model.compile(keras.optimizers.SGD(0.0))
    figures = model.train_on_batch(x, y, return_dict=True)
    assert figures["accuracy"] == pytest.approx((logits[:16].argmax(-1) == y[:16]).mean())
    assert figures["loss"] == pytest.approx(figures["adversarial_loss"])
