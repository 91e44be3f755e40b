"""The split: exact fractions, nothing shared, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_tf.data.folder import class_of
from robust_tf.data.split import films, split, tied
from robust_tf.refusal import Refusal


def paths_of(sizes):
    return [f"class{label}/{i}.png" for label, size in enumerate(sizes) for i in range(size)]


def alone(paths):
    return [[path] for path in paths]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(2, 30), min_size=2, max_size=4), st.floats(0.05, 0.9), st.integers(0, 9))
def test_single_images_are_split_exactly(sizes, fraction, seed):
    paths = paths_of(sizes)
    train, test = split(paths, alone(paths), fraction, seed)
    assert sorted(train + test) == sorted(paths)
    for label, size in enumerate(sizes):
        expected = min(max(round(fraction * size), 1), size - 1)
        assert sum(class_of(path) == f"class{label}" for path in test) == expected
    assert split(paths, alone(paths), fraction, seed) == (train, test)


def test_seeds_give_other_splits():
    paths = paths_of([20, 20])
    assert len({split(paths, alone(paths), 0.2, seed)[1] for seed in range(5)}) == 5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), min_size=30, max_size=60), st.integers(0, 9))
def test_no_group_is_on_both_sides(drawn, seed):
    paths = [f"{label}/{i}.png" for i, (label, _) in enumerate(drawn)]
    group = {path: film for path, (_, film) in zip(paths, drawn)}
    try:
        train, test = split(paths, [[group[path]] for path in paths], 0.3, seed)
    except Refusal:
        return
    assert not {group[path] for path in train} & {group[path] for path in test}
    assert set(map(class_of, train)) == set(map(class_of, test)) == set(map(class_of, paths))


def test_the_fraction_is_near_with_groups():
    paths = paths_of([200, 100])
    _, test = split(paths, [[(class_of(path), i // 5)] for i, path in enumerate(paths)], 0.2, 3)
    counts = np.unique([class_of(path) for path in test], return_counts=True)[1]
    assert counts.tolist() == [40, 20]


def test_two_large_groups_go_to_both_sides():
    paths = paths_of([10, 10])
    train, test = split(paths, [[(class_of(path), i % 2)] for i, path in enumerate(paths)], 0.2, 0)
    assert len(train) == len(test) == 10


def test_a_class_that_cannot_be_split_is_named():
    paths = paths_of([5, 6])
    keys = [["the same"] if class_of(path) == "class1" else [path] for path in paths]
    with pytest.raises(Refusal, match=r"class class1 that can be split .* got 6 images in 1 group of"):
        split(paths, keys, 0.2, 0)
    with pytest.raises(Refusal, match=r"class class0 .* got 1 image in 1 group of"):
        split(paths_of([1, 6]), alone(paths_of([1, 6])), 0.2, 0)


def test_ties_go_through_others():
    assert sorted(tied([["a"], ["b", "c"], ["d"], ["c", "a"], ["e", "e"]])) == [[0, 1, 3], [2], [4]]


def test_films():
    paths = ["cat/film12_003.png", "dog/film12_004.png", "dog/film1.png"]
    assert films(paths, r"film\d+") == ["film12", "film12", "film1"]
    assert films(paths, r"film(\d+)") == ["12", "12", "1"]
    with pytest.raises(Refusal, match=r"--group_by=_: expected a match in each file name; got none in dog/film1\.png"):
        films(paths, "_")
