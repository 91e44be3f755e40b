"""Augmentation: whole shifts, mirrors and turns, the same for the same seed and step."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.data.augment import SHIFT, augment

X = tf.constant(np.random.default_rng(0).random((64, 12, 9, 3), np.float32))


def varied(*kinds, seed=0, step=0, x=X):
    return augment(x, seed, step, kinds).numpy()


def shifted(image, down, right):
    """`image` moved, black where nothing comes in."""
    H, W, _ = image.shape
    padded = np.pad(image, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)))
    return padded[SHIFT + down : SHIFT + down + H, SHIFT + right : SHIFT + right + W]


def test_crops_are_whole_shifts_of_the_padded_image_and_all_occur():
    moves = list(itertools.product(range(-SHIFT, SHIFT + 1), repeat=2))
    candidates = np.array([[shifted(image, *move) for image in X.numpy()] for move in moves])  # [81, B, H, W, C]
    seen = set()
    for step in range(16):
        fits = np.abs(candidates - varied("crop", step=step)).max((2, 3, 4)) < 1e-5  # [81, B]
        np.testing.assert_array_equal(fits.sum(0), 1)
        seen |= {moves[i] for i in fits.argmax(0)}
    assert seen == set(moves)


def test_flip_mirrors_about_half_of_the_images_and_leaves_the_others():
    results = varied("flip")
    mirrored = [np.allclose(result, image[:, ::-1], atol=1e-6) for image, result in zip(X.numpy(), results)]
    kept = [np.allclose(result, image, atol=1e-6) for image, result in zip(X.numpy(), results)]
    assert all(m != k for m, k in zip(mirrored, kept))
    assert 16 < sum(mirrored) < 48


def test_turns_are_within_fifteen_degrees_about_the_centre():
    line = np.zeros((200, 41, 41, 1), np.float32)
    line[:, 20, 21:] = 1  # from the centre to the right
    angles = []
    for result in varied("rotate", x=tf.constant(line)):
        rows, columns = np.nonzero(result[:, :, 0] > 0.3)
        angles.append(math.degrees(math.atan2((rows - 20).mean(), (columns - 20).mean())))
    assert -15.5 < min(angles) < -12
    assert 12 < max(angles) < 15.5
    assert abs(np.mean(angles)) < 2


@pytest.mark.parametrize("kinds", [("crop",), ("flip",), ("rotate",), ("crop", "flip", "rotate")])
def test_a_function_of_seed_and_step_within_the_pixels_range(kinds):
    first = varied(*kinds, seed=3, step=5)
    np.testing.assert_array_equal(first, varied(*kinds, seed=3, step=5))
    assert (first != varied(*kinds, seed=3, step=6)).any()
    assert (first != varied(*kinds, seed=4, step=5)).any()
    assert first.min() >= 0
    assert first.max() <= 1


def test_none_leaves_the_images_alone():
    np.testing.assert_array_equal(varied("none"), X)
