"""The split of the user's own images into training and test images: stratified, seeded, without leaks."""

import re

import numpy as np

from robust_tf.data.folder import class_of
from robust_tf.refusal import Refusal
from robust_tf.terminal import named, number_of


def split(paths, keys, fraction, seed):
    """(training paths, test paths), each in the order of `paths`.

    Images that share a key, directly or through others, stay on one side. In each class about `fraction` of the images
    are test images: groups of images come in random order, drawn with `seed`, and join the test images if that lowers
    sum_c ((t_c - T_c) / T_c)^2, with t_c the test images of class c and T_c = fraction * images of c, rounded, at least
    1. Without groups, t_c = T_c.

    Args:
      paths: paths ../CLASS/FILE of the images.
      keys: for each image the keys that tie it to others.

    Raises Refusal where a class cannot have images on both sides.
    """
    names, classes = np.unique([class_of(path) for path in paths], return_inverse=True)
    total = np.bincount(classes)
    wanted = np.clip(np.rint(fraction * total), 1, np.maximum(total - 1, 1))
    groups = [np.array(group) for group in tied(keys)]
    counts = [np.bincount(classes[group], minlength=len(names)) for group in groups]
    order, chosen, test = np.random.default_rng(seed).permutation(len(groups)), [], np.zeros(len(names), int)

    def error(counted):
        return (((counted - wanted) / wanted) ** 2).sum()

    for i in order:
        if error(test + counts[i]) < error(test):
            chosen.append(i)
            test = test + counts[i]
    for label in np.flatnonzero(test == 0):  # each group of the class is much larger than T_c
        fitting = [i for i in order if counts[i][label] and (test + counts[i] < total).all()]
        if fitting and test[label] == 0:
            smallest = min(fitting, key=lambda i: len(groups[i]))
            chosen.append(smallest)
            test = test + counts[smallest]
    for label in np.flatnonzero((test == 0) | (test == total)):
        kinds = sum(bool(counted[label]) for counted in counts)
        raise Refusal(
            f"--data_dir: expected images of class {names[label]} that can be split into training and test images; got"
            f" {number_of(total[label], 'image')} in {number_of(kinds, 'group')} of equal or grouped images"
        )
    is_test = np.zeros(len(paths), bool)
    is_test[np.concatenate([groups[i] for i in chosen])] = True
    sides = ([path for path, chosen in zip(paths, is_test) if chosen == side] for side in (False, True))
    return tuple(map(tuple, sides))


def tied(keys):
    """Groups of the indices of items that share a key, directly or through others."""
    parent = {}

    def root(key):
        while parent.setdefault(key, key) != key:
            parent[key] = key = parent[parent[key]]
        return key

    for first, *others in keys:
        for other in others:
            parent[root(other)] = root(first)
    groups = {}
    for i, (first, *_) in enumerate(keys):
        groups.setdefault(root(first), []).append(i)
    return list(groups.values())


def film_of(path, pattern):
    """What the regular expression `pattern` finds in the file name: its first group, or else all of the match; None
    where it finds nothing."""
    found = re.search(pattern, path.rpartition("/")[2])
    return found and (found[1] if found.re.groups else found[0])


def films(paths, pattern):
    """`film_of` of each path; raises Refusal where the pattern finds nothing."""
    found = [film_of(path, pattern) for path in paths]
    without = [path for path, film in zip(paths, found) if film is None]
    if without:
        raise Refusal(f"--group_by={pattern}: expected a match in each file name; got none in {named(without)}")
    return found
