"""Certified images are not attacked: nothing changes by it, and a wrong certificate is noticed."""

import numpy as np
import pytest
import tf_keras as keras

from robust_tf.certification.certified import certified
from robust_tf.evaluation import ATTACKED
from robust_tf.evaluation.accuracy import attacked, inference
from robust_tf.evaluation.autoattack import sequenced
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.evaluation.looks import chunks, in_order
from robust_tf.evaluation.sequence import in_sequence
from robust_tf.evaluation.settings import resolved
from robust_tf.evaluation.sparing import Spared, spared
from robust_tf.flags.declare import parse
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig

EPS, COUNT = 0.02, 120


@pytest.fixture(scope="module")
def subject():
    """(net, images, labels that it predicts but for every tenth image)"""
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Conv2D(4, 2, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(4)]
    net = keras.Sequential([keras.Input((5, 4, 1)), *layers])
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 5, 4, 1)).astype(np.uint8)
    labels = net(images / 255).numpy().argmax(-1)
    labels[::10] = (labels[::10] + 1) % 4
    return net, images, labels


def config(*flags):
    words = ["--workdir=RUN", "--attacks=fgsm,pgd", "--steps=5", "--batch_size=17", *flags]
    return resolved(parse(EvaluateConfig, words), parse(TrainConfig, ["--method=da", f"--eps={EPS}"]))


def left(subject, *flags):
    return spared(certified(*subject, EPS, "linf"), config(*flags))


def test_twenty_certified_images_are_attacked_all_the_same(subject):
    found = left(subject)
    assert 2 * ATTACKED < found.proven.sum() < COUNT
    assert found.attacked.sum() == ATTACKED
    assert found.count == found.proven.sum() - ATTACKED
    assert not (found.attacked & ~found.proven).any()
    assert (left(subject, "--seed=1").attacked != found.attacked).any()
    assert left(subject, "--noskip_certified") is None
    assert spared(certified(*subject, EPS, "l2"), config()) is None


def test_skipping_changes_no_result(subject):
    net, images, labels = subject
    arguments = inference(net), images, labels, ("fgsm", "pgd"), config()
    one, other = attacked(*arguments), attacked(*arguments, spared=left(subject))
    np.testing.assert_array_equal(one.clean, other.clean)
    for name in ("fgsm", "pgd"):
        np.testing.assert_array_equal(one.survived[name], other.survived[name])
    assert one.survived["pgd"].mean() < one.clean.mean()


def sequence(subject, spared, labels=None, **arguments):
    net, images, own = subject
    steps = ("apgd_ce", {"steps": 5}), ("square", {"queries": 30})
    attacks = [sequenced(name, inference(net), eps=EPS, **settings) for name, settings in steps]
    seen = []
    found = in_sequence(
        inference(net), attacks, images, own if labels is None else labels, seed=0, batch_size=17, spared=spared,
        progress=lambda name, done, total, accuracy: seen.append((name, total)), **arguments,
    )  # fmt: skip
    return found, dict(seen)


def test_sequences_skip_them_too(subject, tmp_path):
    whole, totals = sequence(subject, None)
    state = tmp_path / "state.npz"
    found, fewer = sequence(subject, left(subject), state_path=state)
    np.testing.assert_array_equal(found.survived, whole.survived)
    assert fewer["apgd_ce"] == totals["apgd_ce"] - left(subject).count
    with pytest.raises(Refusal, match="got one of another net, --num_images or --skip_certified"):
        sequence(subject, None, state_path=state)


def test_those_are_the_first_that_a_margin_draws(subject):
    """So that few images that are drawn hold as many checks as many."""
    found = left(subject, "--seed=3")
    drawn = in_order(COUNT, 3)
    assert found.attacked[drawn][found.proven[drawn]][:ATTACKED].all()
    np.testing.assert_array_equal(np.concatenate(chunks(COUNT, 3)), drawn)


def test_a_wrong_certificate_is_an_error_that_names_the_images(subject):
    net, images, labels = subject
    broken = ~attacked(inference(net), images, labels, ("pgd",), config()).survived["pgd"] & (np.arange(COUNT) % 10 > 0)
    (first, *_) = np.flatnonzero(broken)
    wrong = Spared(broken, np.arange(COUNT) == first, "; --noskip_certified attacks all images")
    with pytest.raises(Refusal, match=rf"pgd: expected certified images to survive .*broke the test images {first}:"):
        attacked(inference(net), images, labels, ("pgd",), config(), spared=wrong)
    with pytest.raises(Refusal, match=rf"apgd_ce: .*broke the test images {first}: .*--noskip_certified"):
        sequence(subject, wrong)
