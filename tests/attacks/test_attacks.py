"""Every attack: the contract; and on a linear net, where the worst case is known, that it is found."""

import inspect
import itertools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

from robust_tf.attacks import ATTACKS, NORMS, Attack
from robust_tf.attacks.margin import margin
from robust_tf.attacks.pgd import noisy_step, pgd, step_size

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
    settings.setdefault("loss_weight", 1.3)
    return attack(logits_fn, x, y, **{key: value for key, value in settings.items() if key in takes}).numpy()


def cross_entropy(logits_fn, x, y):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits_fn(x)).numpy()


FACTS = {**ATTACKS, "training pgd": Attack(address="robust_tf.attacks.pgd:pgd", norms=NORMS)}
CASES = [
    case
    for case in itertools.product(ALL, NORMS, SHAPES, (2, 3, 10))
    if case[1] in FACTS[case[0]].norms
    if case[2] == SHAPES[0] or case[3] == 3 or case[0] == "apgd_t"  # every number of classes, every shape
]
ASCENDING = [name for name in ALL if FACTS[name].norms and not FACTS[name].stops]
SETTINGS = {"steps": 5, "queries": 60, "samples": 4, "searches": 3}


def test_n_fgsm_is_not_projected_and_its_noise_is_that_of_the_whole_batch():
    """Of a linear net: clip(x + noise u + alpha sign(w_other - w_own)), u uniform in [-1, 1]."""
    x = np.random.default_rng(0).random((4, 3, 2, 1)).astype(np.float32)
    w = tf.constant(np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32))
    net, y = lambda images: tf.reshape(images, (-1, 6)) @ w, tf.constant([0, 1, 1, 0])
    x_adv = noisy_step(net, tf.constant(x), y, 0.2, alpha=0.1, seed=(3, 5)).numpy()
    away = np.sign(tf.gather(w, 1 - y, axis=1) - tf.gather(w, y, axis=1)).T.reshape(x.shape)
    u = tf.random.stateless_uniform(x.shape, (3, 5), -1.0, 1.0)
    np.testing.assert_allclose(x_adv, np.clip(x + 0.2 * u + 0.1 * away, 0, 1), atol=1e-6)
    for part in (0, 1):
        chosen = slice(2 * part, 2 * part + 2)
        found = noisy_step(net, tf.constant(x[chosen]), y[chosen], 0.2, alpha=0.1, seed=(3, 5), share=(part, 2))
        np.testing.assert_allclose(found, x_adv[chosen], atol=1e-6)


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
    if not FACTS[name].nearest:  # those return x where they find nothing
        assert (distance[robust] > 0).all()
    np.testing.assert_array_equal(x_adv, call(name, logits_fn, x, y, eps=eps, norm=norm, seed=7, **SETTINGS))
    if FACTS[name].keeps_best:
        assert (margin(logits_fn(x_adv), y).numpy() <= margin(logits_fn(x), y).numpy()).all()
    if not FACTS[name].stops:
        assert (cross_entropy(logits_fn, x_adv, y) >= cross_entropy(logits_fn, x, y) - 1e-5).all()
    else:
        np.testing.assert_array_equal(x_adv[~robust], x.numpy()[~robust])
    np.testing.assert_array_equal(call(name, logits_fn, x, y, eps=0.0, norm=norm, **SETTINGS), x)


@pytest.mark.parametrize("name", ALL)
def test_settings_have_names(name):
    """All but the net, the images and their labels are keyword-only; these can be given by name or place."""
    kinds = [parameter.kind for parameter in inspect.signature(ALL[name]).parameters.values()]
    assert kinds[:3] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 3
    assert set(kinds[3:]) == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("name", ["apgd_ce", "fab", "fab_t", "square", "spsa", "cw_l2"])
def test_nothing_is_asked_at_radius_0(name):
    x, y = images((4, 4, 1), 3)
    asked = []
    logits_fn = lambda x: asked.append(x) or linear((4, 4, 1), 3)[0](x)
    np.testing.assert_array_equal(call(name, logits_fn, x, y, eps=0.0), x)
    assert len(asked) == (name == "fab_t")  # for the number of classes


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
    for name in [name for name in ASCENDING if "l2" in FACTS[name].norms]:
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
    settings = {"eps": 0.1, "steps": 0}
    np.testing.assert_array_equal(pgd(logits_fn, x, y, **settings), pgd(logits_fn, x, y, seed=(0, 0), **settings))


def test_margin_by_hand():
    np.testing.assert_allclose(margin(tf.constant([[1.0, 5.0, 3.0], [2.0, -1.0, 0.0]]), [1, 1]), [2, -3])


@pytest.mark.parametrize(("name", "classes"), [("apgd_dlr", 2), ("apgd_t", 2), ("apgd_t", 3)])
def test_nets_of_few_classes_are_broken_where_they_can_be(name, classes):
    """On the margin, where the ratio of logits is not defined: the worst case of a linear net in the ball."""
    through_0, W = linear((4, 4, 1), classes)
    logits_fn = lambda x: through_0(x - 0.5)
    x, _ = images((4, 4, 1), classes, 100, 0.3, 0.7)  # [0, 1] binds nowhere
    y, eps = np.argmax(logits_fn(x), -1), 0.05
    z, size = logits_fn(x).numpy(), np.abs(W[:, :, None] - W[:, None]).sum(0)  # [K, K]
    ahead = z[np.arange(len(y)), y][:, None] - z - eps * size[y]
    breakable = (ahead + 1e9 * np.eye(classes)[y]).min(-1) < 0
    broken = np.argmax(logits_fn(call(name, logits_fn, x, y, eps=eps, steps=20)), -1) != y
    assert 0.1 < breakable.mean() < 0.95
    np.testing.assert_array_equal(broken, breakable)


def boundaries(shape, classes, seed=0):
    """A linear net, images that it classifies correctly, and their L2 distances to the other classes, [B, K]."""
    through_0, W = linear(shape, classes, seed)
    logits_fn = lambda x: through_0(x - 0.5)
    x, _ = images(shape, classes, low=0.3, high=0.7)
    z = logits_fn(x).numpy()
    y = z.argmax(-1)
    lengths = np.linalg.norm(W[:, :, None] - W[:, None, :], axis=0)[y]  # [B, K]
    own = np.eye(classes)[y] > 0
    return logits_fn, x, y, np.where(own, np.inf, (z[own][:, None] - z) / np.where(own, 1, lengths))


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_cw_l2_finds_the_exact_distance_of_a_linear_net(classes):
    """That to the only other class; with more, no worse than to the class of the second largest logit."""
    logits_fn, x, y, distances = boundaries((4, 3, 1), classes)
    settings = {"steps": 200, "searches": 12, "learning_rate": 0.03}
    x_adv = call("cw_l2", logits_fn, x, y, eps=10.0, **settings)
    found = np.linalg.norm((x_adv - x.numpy()).reshape(len(y), -1), axis=1)
    assert (margin(logits_fn(x_adv), y).numpy() < 0).all()
    second = distances[np.arange(len(y)), np.argsort(logits_fn(x).numpy(), -1)[:, -2]]
    assert (found >= distances.min(-1) * 0.999).all()
    assert (found <= second * 1.01 + 1e-4).all()
    within = call("cw_l2", logits_fn, x, y, eps=float(np.median(found)), **settings)
    moved = (within != x.numpy()).any((1, 2, 3))
    np.testing.assert_array_equal(moved, found <= np.median(found))


def test_cw_l2_raises_c_until_it_succeeds():
    logits_fn, x, y, _ = boundaries((4, 3, 1), 3)
    settings = {"eps": 10.0, "steps": 50, "learning_rate": 0.03, "initial_c": 1e-3}
    one, six = (margin(logits_fn(call("cw_l2", logits_fn, x, y, searches=n, **settings)), y).numpy() for n in (1, 6))
    assert (one >= 0).any()
    assert (six < 0).all()


def test_spsa_comes_near_the_worst_case_without_gradients():
    shape, eps = (4, 3, 1), 0.05
    logits_fn, W = linear(shape, 2)
    x, _ = images(shape, 2, low=0.1, high=0.9)
    y = logits_fn(x).numpy().argmax(-1)
    most = eps * np.abs(W[:, 0] - W[:, 1]).sum()
    assert (margin(logits_fn(x), y).numpy() > most).all()  # no image is done early
    x_adv = call("spsa", logits_fn, x, y, eps=eps, steps=20, samples=64)
    now = margin(logits_fn(x_adv), y).numpy()
    assert (margin(logits_fn(x), y).numpy() - now > 0.9 * most).all()


def test_wrm_by_hand():
    """Two steps on a linear net, spelled out."""
    logits_fn, W = linear((3, 3, 1), 4)
    x, y = images((3, 3, 1), 4, low=0.4, high=0.6)
    expected = x.numpy()
    for t in range(2):
        z = logits_fn(expected).numpy()
        p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        gradient = 0.9 * ((p - np.eye(4)[y]) @ W.T).reshape(x.shape) - (expected - x.numpy())
        expected = np.clip(expected + gradient / np.sqrt(t + 1), 0, 1).astype(np.float32)
    x_adv = call("wrm", logits_fn, x, y, loss_weight=0.9, wrm_steps=2)
    np.testing.assert_allclose(x_adv, expected, atol=1e-6)


def test_wrm_in_units_of_the_deviation_is_wrm_on_normalised_images():
    """x = s u: on u the net sees s u, and both end at the same image."""
    logits_fn, _ = linear((3, 3, 1), 4)
    x, y = images((3, 3, 1), 4, low=0.4, high=0.6)
    s, u, weight = 0.2, x / 0.2, 5.0
    first = tf.Variable(u)
    with tf.GradientTape() as tape:
        loss = weight * tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits_fn(s * first)))
    u_adv = u + tape.gradient(loss, first)
    np.testing.assert_allclose(
        call("wrm", logits_fn, x, y, loss_weight=weight, wrm_steps=1, deviation=s), s * u_adv, atol=1e-6
    )


def test_wrm_has_no_ball():
    assert ATTACKS["wrm"].norms == ()
    logits_fn, _ = linear((3, 3, 1), 4)
    x, y = images((3, 3, 1), 4)
    near, far = (np.abs(call("wrm", logits_fn, x, y, loss_weight=w) - x).max() for w in (0.1, 10.0))
    assert near < far
    assert np.isfinite(far)


def test_what_cleverhans_own_cw_and_spsa_do():
    """Why those two are native: CleverHans 4.0's CW-L2 takes y for its target, and its SPSA one image at a time."""
    from cleverhans.tf2.attacks.carlini_wagner_l2 import CarliniWagnerL2

    logits_fn, x, y, distances = boundaries((4, 3, 1), 3)
    theirs = CarliniWagnerL2(logits_fn, y=y, clip_min=0.0, clip_max=1.0, max_iterations=50).attack(x)
    assert (margin(logits_fn(theirs), y).numpy() >= 0).all()  # nothing is fooled, though every image can be
    assert (distances.min(-1) < 1).all()
