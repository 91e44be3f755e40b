"""Every attack: the contract; and on a linear net, where the worst case is known, that it is found."""

import inspect
import itertools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

from robust_tf.attacks import ATTACK_NORMS, ATTACKS, NORMS
from robust_tf.attacks.cleverhans_attacks import margin
from robust_tf.attacks.pgd import pgd, step_size
from robust_tf.refusal import Refusal

ALL = {**{name: entry.resolve() for name, entry in ATTACKS.items()}, "training pgd": pgd}
SHAPES = [(6, 5, 1), (7, 7, 3)]
ORDERS = {"linf": np.inf, "l2": 2}


def linear(shape, classes, seed=0):
    """Logits W x + b of flattened images; returns the function and W [D, K]."""
    W = np.random.default_rng(seed).normal(size=(int(np.prod(shape)), classes)).astype(np.float32) / 5
    return lambda x: tf.reshape(x, (-1, W.shape[0])) @ W, W


def images(shape, classes, count=8, low=0.0, high=1.0):
    generator = np.random.default_rng(1)
    x = generator.uniform(low, high, (count, *shape)).astype(np.float32)
    return tf.constant(x), generator.integers(0, classes, count)


def call(name, logits_fn, x, y, **settings):
    attack = ALL[name]
    takes = inspect.signature(attack).parameters
    if name == "training pgd":
        settings["seed"] = (settings.get("seed", 0), 0)
    return attack(logits_fn, x, y, **{key: value for key, value in settings.items() if key in takes}).numpy()


def cross_entropy(logits_fn, x, y):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits_fn(x)).numpy()


LEAST_CLASSES = {"apgd_dlr": 3, "apgd_t": 4}
CASES = [
    case
    for case in itertools.product(ALL, NORMS, SHAPES, (2, 3, 10))
    if case[1] in ATTACK_NORMS.get(case[0], NORMS) and case[3] >= LEAST_CLASSES.get(case[0], 2)
]
# They leave alone what is misclassified already, and stop at the first point that is.
STOPPING = ("apgd_ce", "apgd_dlr", "apgd_t", "fab", "fab_t", "square")
ASCENDING = [name for name in ALL if name not in STOPPING]
SETTINGS = {"steps": 5, "queries": 60}


@pytest.mark.parametrize(("name", "norm", "shape", "classes"), CASES)
def test_contract(name, norm, shape, classes):
    logits_fn, _ = linear(shape, classes)
    x, y = images(shape, classes)
    eps = 0.1
    x_adv = call(name, logits_fn, x, y, eps=eps, norm=norm, seed=7, **SETTINGS)
    distance = np.linalg.norm((x_adv - x.numpy()).reshape(len(y), -1), ORDERS[norm], axis=1)
    assert np.isfinite(x_adv).all()
    assert (distance <= eps + 1e-6).all()
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    robust = margin(logits_fn(x), y).numpy() >= 0
    if not name.startswith("fab"):  # returns x where it finds nothing
        assert (distance[robust] > 0).all()
    np.testing.assert_array_equal(x_adv, call(name, logits_fn, x, y, eps=eps, norm=norm, seed=7, **SETTINGS))
    if name not in STOPPING:
        assert (cross_entropy(logits_fn, x_adv, y) >= cross_entropy(logits_fn, x, y) - 1e-5).all()
    else:
        np.testing.assert_array_equal(x_adv[~robust], x.numpy()[~robust])
    np.testing.assert_array_equal(call(name, logits_fn, x, y, eps=0.0, norm=norm, **SETTINGS), x)


@pytest.mark.parametrize("name", ASCENDING)
def test_the_exact_worst_case_of_a_two_class_linear_net(name):
    """max CE over ||delta||_inf <= eps is at delta = eps * sign(w_other - w_y), where [0, 1] does not bind."""
    shape, eps = (4, 3, 1), 0.05
    logits_fn, W = linear(shape, 2)
    x, y = images(shape, 2, low=0.1, high=0.9)
    direction = np.sign(W.T[1 - y] - W.T[y]).reshape(x.shape)
    x_adv = call(name, logits_fn, x, y, eps=eps, norm="linf", steps=10, restarts=2)
    np.testing.assert_allclose(x_adv, x + eps * direction, atol=1e-6)


def test_the_exact_worst_case_in_l2():
    """max CE over ||delta||_2 <= eps is at delta = eps * (w_other - w_y) / ||w_other - w_y||."""
    shape, eps = (4, 3, 1), 0.05
    logits_fn, W = linear(shape, 2)
    x, y = images(shape, 2, low=0.1, high=0.9)
    direction = (W.T[1 - y] - W.T[y]).reshape(x.shape)
    direction /= np.linalg.norm(direction.reshape(len(y), -1), axis=1)[:, None, None, None]
    for name in ASCENDING:
        x_adv = call(name, logits_fn, x, y, eps=eps, norm="l2", steps=40, alpha=eps / 2)
        np.testing.assert_allclose(x_adv, x + eps * direction, atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_ours_equals_cleverhans_without_a_random_start(norm):
    """Bit for bit in L-inf. In L2 they also clip to [0, 1] before they project, so only where that does not bind."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    net = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(5)]
    )
    low, high = (0.0, 1.0) if norm == "linf" else (0.3, 0.7)
    x, y = images((8, 8, 1), 5, low=low, high=high)
    ours = pgd(net, x, y, eps=0.1, steps=7, alpha=0.03, norm=norm, starts=())
    theirs = projected_gradient_descent(
        net, x, 0.1, 0.03, 7, ORDERS[norm], y=y, clip_min=0.0, clip_max=1.0, rand_init=False, sanity_checks=False
    )
    if norm == "linf":
        np.testing.assert_array_equal(ours, theirs)
    else:
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_training_pgd_is_the_same_in_a_graph():
    logits_fn, _ = linear((4, 4, 1), 3)
    x, y = images((4, 4, 1), 3)
    eps, steps = tf.Variable(0.2), tf.Variable(4)
    graph = tf.function(lambda: pgd(logits_fn, x, y, eps=eps, steps=steps, seed=(1, 2)))
    np.testing.assert_allclose(graph(), pgd(logits_fn, x, y, eps=0.2, steps=4, seed=(1, 2)), atol=1e-6)
    eps.assign(0.05)
    steps.assign(0)
    moved = np.abs(graph() - x.numpy())
    assert 0 < moved.max() <= 0.05 + 1e-6


def test_more_restarts_never_help_the_defender():
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(32, "relu"),
                            keras.layers.Dense(4)])  # fmt: skip
    x, y = images((8, 8, 1), 4, count=64)
    attack = ATTACKS["pgd"].resolve()
    margins = [margin(net(attack(net, x, y, eps=0.1, steps=3, restarts=n)), y).numpy() for n in (1, 2, 4)]
    assert (margins[1] <= margins[0] + 1e-6).all()
    assert (margins[2] <= margins[1] + 1e-6).all()
    assert (margins[2] < margins[0] - 1e-6).any()


def test_step_size_is_the_thesis_one():
    assert float(step_size(0.3, 100)) == pytest.approx(0.0075)
    assert float(step_size(0.3, 1)) == pytest.approx(0.3)
    assert float(step_size(0.3, 0)) == pytest.approx(0.3)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("eps", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_few_steps(norm, eps, steps):
    """The default step size is eps itself, which CleverHans must not take for more."""
    logits_fn, _ = linear((4, 4, 1), 3)
    x, y = images((4, 4, 1), 3)
    x_adv = call("pgd", logits_fn, x, y, eps=eps, norm=norm, steps=steps)
    assert np.abs(x_adv - x).max() <= eps + 1e-6


def test_seeds_and_restarts_draw_apart():
    logits_fn, _ = linear((4, 4, 1), 3)
    x, y = images((4, 4, 1), 3)
    starts = [
        call("pgd", logits_fn, x, y, eps=0.1, norm="linf", steps=0, seed=seed) for seed in ((0, 0), (0, 1), (1, 0))
    ]
    for one, other in itertools.combinations(starts, 2):
        assert (one != other).any()


def test_margin_by_hand():
    np.testing.assert_allclose(margin(tf.constant([[1.0, 5.0, 3.0], [2.0, -1.0, 0.0]]), [1, 1]), [2, -3])


@pytest.mark.parametrize("name", LEAST_CLASSES)
def test_losses_that_rank_classes_need_enough_of_them(name):
    logits_fn, _ = linear((4, 4, 1), LEAST_CLASSES[name] - 1)
    x, y = images((4, 4, 1), 2)
    with pytest.raises(Refusal, match=f"{name}: expected at least {LEAST_CLASSES[name]} classes"):
        call(name, logits_fn, x, y, eps=0.1)
