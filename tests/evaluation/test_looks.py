"""Evaluations that end when they know enough."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from robust_tf.attacks import AUTOATTACK
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.evaluation.looks import by_looks, chunks
from robust_tf.evaluation.modes import attacks as mode
from robust_tf.evaluation.run import evaluate
from robust_tf.evaluation.sequence import in_sequence
from robust_tf.flags.declare import parse
from robust_tf.flags.kinds import DURATION
from robust_tf.records.evaluation import Attacks
from robust_tf.records.interval import half_width
from robust_tf.records.record import read
from robust_tf.training.config import TrainConfig
from robust_tf.training.run import train


@pytest.mark.parametrize("count", [1, 20, 21, 99, 100, 101, 437])
def test_chunks_are_all_images_in_a_random_order(count):
    parts = chunks(count, 3)
    assert sorted(np.concatenate(parts)) == list(range(count))
    assert [len(part) for part in parts][:-1] == [20, 30, 50, 100, 100, 100][: len(parts) - 1]
    np.testing.assert_array_equal(np.concatenate(parts), np.random.default_rng(3).permutation(count))


class Results(NamedTuple):
    """Of a net that is robust on images with even numbers; an image takes a second."""

    robust: np.ndarray

    @property
    def total_seconds(self):
        return float(len(self.robust))

    @staticmethod
    def joined(parts):
        return Results(np.concatenate([part.robust for part in parts]))


def looked(count, margin=None, time_limit=None):
    settings = SimpleNamespace(margin=margin, time_limit=time_limit, seed=0)
    sample, found = by_looks(lambda numbers: Results(numbers % 2 == 0), count, settings)
    np.testing.assert_array_equal(found.robust, sample % 2 == 0)
    return sample, found


def test_the_first_look_that_is_narrow_enough_is_the_last():
    robust, ends = np.random.default_rng(0).permutation(3000) % 2 == 0, [20, 50, *range(100, 3001, 100)]
    for margin in (0.3, 0.1, 0.05, 0.03):
        expected = next(end for end in ends if half_width(robust[:end].mean(), end) <= margin)
        assert len(looked(3000, margin)[0]) == expected
    assert len(looked(60, 0.01)[0]) == 60  # all that there are


@pytest.mark.parametrize(("limit", "number"), [(1, 20), (49, 20), (50, 50), (100, 100), (399.5, 300), (1e6, 437)])
def test_no_chunk_is_begun_that_would_exceed_the_time(limit, number):
    assert len(looked(437, time_limit=limit)[0]) == number


def test_the_sooner_of_the_two_ends_it():
    assert len(looked(437, margin=0.3, time_limit=300)[0]) == 20
    assert len(looked(437, margin=0.001, time_limit=60)[0]) == 50


def test_times_with_their_unit():
    assert [DURATION.parse(text) for text in ("90s", "10m", "1.5h")] == [90, 600, 5400]
    assert DURATION.parse(DURATION.write(0.1)) == 0.1
    for text in ("", "10", "m", "0s", "-1m", "nans", "infh", "1d"):
        with pytest.raises(ValueError, match="expected a time above 0 with its unit"):
            DURATION.parse(text)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    flags = ["--conv_relu", "--width=0.2", "--method=da", "--steps=1", "--epochs=1", "--batch_size=64", "--eps=0.05"]
    return train(parse(TrainConfig, [f"--workdir={tmp_path_factory.mktemp('looks') / 'run'}", *flags])).path


def measured(run, *flags):
    path = evaluate(parse(EvaluateConfig, [f"--workdir={run}", *flags]))
    return read(path, Attacks)


def test_the_batch_size_changes_nothing_that_is_drawn(run, capsys):
    common = ("--attacks=fgsm,pgd", "--steps=3", "--eps=0.01")
    some = measured(run, *common, "--margin=0.1")
    assert some.num_images == len(some.sample) in (50, 100)
    assert half_width(some.robust_accuracy, some.num_images) <= 0.1
    again = measured(run, *common, "--margin=0.1", "--batch_size=7", "--noskip_certified")
    capsys.readouterr()
    measured(run, *common, "--margin=0.01")
    assert "--margin=0.01 was not reached: half the interval's width is 0.0" in capsys.readouterr().out
    assert again.per_attack == some.per_attack


class Killed(Exception):
    pass


def test_autoattack_by_chunks_is_autoattack_of_these_images_and_goes_on_after_a_kill(run, monkeypatch, capsys):
    quick = (("apgd_ce", {"steps": 3, "restarts": 1}), ("square", {"queries": 10, "restarts": 1}))
    monkeypatch.setitem(AUTOATTACK, "standard", quick)
    whole = measured(run, "--attacks=autoattack", "--eps=0.01")
    common = ("--attacks=autoattack", "--eps=0.01", "--margin=0.09")
    begun = []

    def killed(*arguments, **options):
        begun.append(len(options["among"]))
        if len(begun) == 3:
            raise Killed
        return in_sequence(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(mode, "in_sequence", killed)
        with pytest.raises(Killed):
            measured(run, *common)
    assert begun == [20, 30, 50]
    assert len(list((run / "evaluation").glob("*state.npz"))) == 2
    resumed = measured(run, *common)
    assert not list((run / "evaluation").glob("*state.npz"))
    assert (whole.num_images, whole.sample) == (360, None)
    assert resumed.broken_by == tuple(whole.broken_by[number] for number in resumed.sample)
    assert resumed.sample == tuple(np.random.default_rng(0).permutation(360)[: resumed.num_images].tolist())
    shown = capsys.readouterr().out
    assert "drawn at random; the intervals' 95 % are nominal" in shown
    assert "was not reached" not in shown
    proven = resumed.certified_accuracy * resumed.num_images
    assert proven == pytest.approx(round(proven))
