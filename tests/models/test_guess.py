"""guess: nets that are no better than a guess."""

import numpy as np
import pytest

from robust_tf.models.guess import guess

LABELS = np.arange(200) % 4  # 50 images of each of four classes


def test_a_net_that_predicts_one_class_says_which():
    assert guess(np.full(200, 2), LABELS) == "the net predicts class 2 for all of 200 images"


def test_a_net_that_guesses_says_so():
    predicted = np.random.default_rng(0).permutation(LABELS)
    assert "no better than a guess" in guess(predicted, LABELS)


@pytest.mark.parametrize(("right", "better"), [(60, False), (61, True)])
def test_the_border_is_that_of_the_binomial_test(right, better):
    """Of 200 guesses at 1/4, P(>= 60) = 6.2 %, P(>= 61) = 4.5 %."""
    predicted = (LABELS + 1) % 4
    predicted[:right] = LABELS[:right]
    assert (guess(predicted, LABELS) is None) == better


@pytest.mark.parametrize(("right", "better"), [(6, False), (7, True)])
def test_of_few_images_too(right, better):
    """Of 12 guesses at 1/3, P(>= 6) = 17.8 %, P(>= 7) = 6.6 %, P(>= 8) = 1.9 %."""
    labels = np.arange(12) % 3
    predicted = (labels + 1) % 3
    predicted[: right + 1] = labels[: right + 1]
    found = guess(predicted, labels)
    assert (found is None) == better
    assert better or "the net is not clearly better than a guess: 58.3% of 12 images" in found


def test_unequal_classes_are_compared_with_the_most_frequent_one():
    labels = np.array([0] * 180 + [1] * 20)
    assert "gives 90.0%" in guess(np.array([0] * 179 + [1] + [0] * 20), labels)


def test_nothing_is_said_of_few_images_or_of_images_of_one_class():
    assert guess(np.zeros(9, int), LABELS[:9]) is None
    assert guess(np.zeros(200, int), np.zeros(200, int)) is None
