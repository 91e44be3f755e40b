"""Batches: every image once an epoch, in an order that depends on (seed, step) alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robust_tf.data.pipeline import batches, split_validation, stream

N, BATCH = 50, 8
IMAGES = np.broadcast_to(np.arange(N, dtype=np.uint8)[:, None, None, None], (N, 2, 2, 1))
LABELS = np.arange(N)


def order(count, **kwargs):
    return [y.numpy() for _, y in stream(IMAGES, LABELS, BATCH, **kwargs).take(count)]


def test_an_epoch_visits_no_image_twice_and_epochs_differ():
    steps = N // BATCH
    seen = np.concatenate(order(2 * steps, seed=3)).reshape(2, steps * BATCH)
    assert all(len(set(epoch)) == steps * BATCH for epoch in seen)
    assert (seen[0] != seen[1]).any()


@pytest.mark.parametrize("first_step", [1, 5, 6, 13])
def test_a_resumed_stream_goes_on_where_it_stopped(first_step):
    whole = order(20, seed=1)
    np.testing.assert_array_equal(order(20 - first_step, seed=1, first_step=first_step), whole[first_step:])


def test_seeds_differ():
    assert (np.array(order(4, seed=0)) != np.array(order(4, seed=1))).any()


def test_images_stay_with_their_labels_and_become_pixels():
    for x, y in stream(IMAGES, LABELS, BATCH, seed=0).take(3):
        np.testing.assert_allclose(x.numpy()[:, 0, 0, 0] * 255, y.numpy(), rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches(IMAGES, LABELS, 7)]), LABELS)


@given(st.integers(5, 200), st.integers(0, 10))
def test_the_validation_split_is_fixed_and_disjoint(n, seed):
    images, labels = np.zeros((n, 1)), np.arange(n)
    (_, train), (_, held_out) = split_validation(images, labels, seed)
    assert sorted([*train, *held_out]) == list(range(n))
    assert len(held_out) == n // 5
    np.testing.assert_array_equal(split_validation(images, labels, seed)[1][1], held_out)
