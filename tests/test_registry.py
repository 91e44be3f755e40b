"""Entries resolve to callables with docstrings."""

import pytest

from robust_tf.attacks import ATTACKS
from robust_tf.data import DATASETS
from robust_tf.models import MODELS
from robust_tf.projections import PROJECTIONS

LOADERS = [getattr(dataset.load, "func", dataset.load) for dataset in DATASETS.values()]


@pytest.mark.parametrize("entry", [*ATTACKS.values(), *MODELS.values(), *PROJECTIONS.values(), *LOADERS])
def test_every_entry_resolves(entry):
    assert callable(entry.resolve())
    assert entry.resolve().__doc__
