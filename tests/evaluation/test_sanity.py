"""Sanity flags: raised where they should be, silent where not."""

import numpy as np

from robust_tf.evaluation.sanity import sanity_flags


def test_an_iterative_attack_that_misses_what_one_step_breaks():
    survived = {"fgsm": np.array([True, False, False]), "pgd": np.array([False, True, False])}
    assert sanity_flags(survived) == ["1 images fall to one step of fgsm but not to pgd: its gradients mislead it"]


def test_nothing_suspicious():
    survived = {"fgsm": np.array([True, True, False]), "pgd": np.array([False, True, False])}
    assert sanity_flags(survived) == []
    assert sanity_flags({"pgd": np.array([False])}) == []
