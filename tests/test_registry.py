"""Entries resolve to callables, and unknown names list the known ones."""

import pytest

from robust_tf.attacks import ATTACKS
from robust_tf.data import DATASETS
from robust_tf.models import MODELS
from robust_tf.projections import PROJECTIONS


@pytest.mark.parametrize(
    "entry", [*ATTACKS.values(), *MODELS.values(), *PROJECTIONS.values(), *(data.load for data in DATASETS.values())]
)
def test_every_entry_resolves(entry):
    assert callable(entry.resolve())
    assert entry.resolve().__doc__
