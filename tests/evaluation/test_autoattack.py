"""AutoAttack's accounting: who sees what, what it adds up to, and that a killed evaluation loses a batch at most."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.attacks import ATTACKS, AUTOATTACK, Attack
from robust_tf.attacks.seeds import of_images
from robust_tf.evaluation.accuracy import inference
from robust_tf.evaluation.autoattack import autoattack
from robust_tf.evaluation.sequence import broken_by, in_sequence
from robust_tf.refusal import Refusal

SEEN = []


def nearest(x):
    """Logits of a net that reads the class off the brightness: class c at 25 c / 255."""
    return -((x[:, 0, 0] * 255 / 25 - np.arange(10, dtype=np.float32)) ** 2)


def brighten(classes):
    def attack(logits_fn, x, y, *, eps, seed, **settings):
        SEEN.append((classes, list(y), seed.tolist()))
        return tf.where(np.isin(y, classes)[:, None, None, None], x + 25 / 255, x)

    return attack


first, second = brighten((1, 3)), brighten((2, 3))


@pytest.fixture
def two_attacks(monkeypatch):
    SEEN.clear()
    monkeypatch.setitem(ATTACKS, "first", Attack(address=f"{__name__}:first"))
    monkeypatch.setitem(ATTACKS, "second", Attack(address=f"{__name__}:second"))
    monkeypatch.setitem(AUTOATTACK, "two", (("first", {}), ("second", {})))


LABELS = np.array([0, 1, 2, 3, 4, 3, 2, 8])
IMAGES = (LABELS * 25).astype(np.uint8)[:, None, None, None]


def run(**more):
    labels = LABELS.copy()
    labels[-1] = 7  # misclassified without an attack
    steps = autoattack(nearest, SimpleNamespace(version="two", eps=0.1))
    return in_sequence(nearest, steps, IMAGES, labels, seed=5, batch_size=3, **more)


def test_each_attack_sees_what_is_left(two_attacks):
    survived, seconds, invalid = run()
    np.testing.assert_array_equal(broken_by(survived), [-1, 1, 2, 1, -1, 1, 2, 0])
    assert [labels for _, labels, _ in SEEN] == [[0, 1, 2], [3, 4, 3], [2], [0, 2, 4], [2]]
    left = [(1, [0, 1, 2]), (1, [3, 4, 5]), (1, [6]), (2, [0, 2, 4]), (2, [6])]
    assert [seeds for _, _, seeds in SEEN] == [of_images((5, number), batch).tolist() for number, batch in left]
    assert len(seconds) == 2
    np.testing.assert_array_equal(invalid, [0, 0])
    np.testing.assert_array_equal(survived.mean(1), [7 / 8, 4 / 8, 2 / 8])


def test_individually_each_attack_sees_every_image(two_attacks):
    survived = run(individually=True).survived
    assert [labels for _, labels, _ in SEEN] == [[0, 1, 2], [3, 4, 3], [2]] * 2
    np.testing.assert_array_equal(survived.mean(1), [7 / 8, 4 / 8, 3 / 8])
    np.testing.assert_array_equal(broken_by(survived), [-1, 1, 2, 1, -1, 1, 2, 0])


class Killed(Exception):
    pass


@pytest.mark.parametrize("batches", [1, 2, 3, 4])
def test_a_killed_evaluation_goes_on(two_attacks, tmp_path, batches):
    whole = run().survived
    SEEN.clear()

    def kill(*_):
        if len(SEEN) == batches:
            raise Killed

    saved = tmp_path / "state.npz"
    with pytest.raises(Killed):
        run(state_path=saved, identity="this", progress=kill)
    resumed = run(state_path=saved, identity="this").survived
    np.testing.assert_array_equal(resumed, whole)
    assert len(SEEN) == 5  # no batch is attacked twice
    assert saved.exists()  # until the outcome is written
    run(state_path=saved, identity="this")
    assert len(SEEN) == 5


def test_the_state_of_another_evaluation_is_refused(two_attacks, tmp_path):
    saved = tmp_path / "state.npz"

    def kill(*_):
        if SEEN:
            raise Killed

    with pytest.raises(Killed):
        run(state_path=saved, identity="that", progress=kill)
    with pytest.raises(Refusal, match="got one of another net"):
        run(state_path=saved, identity="this")
    saved.write_bytes(saved.read_bytes()[:50])
    with pytest.raises(Refusal, match="expected the state of an interrupted evaluation"):
        run(state_path=saved, identity="that")


@pytest.mark.parametrize("version", ["standard", "thesis"])
def test_the_versions_break_what_can_be_broken(monkeypatch, version):
    """A linear net of four classes, where the robust images are known: those whose least margin stays positive."""
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((4, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(4)])
    rng = np.random.default_rng(0)
    images = rng.integers(100, 155, (40, 4, 3, 1)).astype(np.uint8)
    labels = np.argmax(net(images / 255), -1)
    labels[:3] = (labels[:3] + 1) % 4
    W, z = net.layers[-1].kernel.numpy(), net(images / 255).numpy()
    least = []
    for n, own in enumerate(labels):
        others = [i for i in range(4) if i != own]
        least.append(min(z[n, own] - z[n, i] - 0.1 * np.abs(W[:, own] - W[:, i]).sum() for i in others))
    fewer = {"steps": 20, "queries": 200, "restarts": 1}
    attacks = AUTOATTACK[version]
    quick = [(name, {key: fewer[key] for key in settings}) for name, settings in attacks]
    monkeypatch.setitem(AUTOATTACK, version, quick)
    logits_fn = inference(net)
    steps = autoattack(logits_fn, SimpleNamespace(version=version, eps=0.1))
    survived = in_sequence(logits_fn, steps, images, labels, seed=0, batch_size=16).survived
    np.testing.assert_array_equal(broken_by(survived)[:3], 0)
    np.testing.assert_array_equal(survived.all(0), np.array(least) > 0)
    assert 0.1 < survived.all(0).mean() < 0.9
