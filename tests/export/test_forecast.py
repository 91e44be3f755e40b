"""Files of a net before it is trained."""

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.data import described
from robust_tf.export import FORMATS
from robust_tf.export.forecast import forecast, show
from robust_tf.export.formats import convert
from robust_tf.flags.declare import parse
from robust_tf.models.build import build
from robust_tf.models.kernels import count, kernels
from robust_tf.training.config import TrainConfig
from robust_tf.training.dry_run import constrained

RATIO = 0.1
PRUNED = f"--ratio={RATIO}"


def untrained(*flags):
    """(net under its constraint, kernel weights of the dense net)"""
    config = parse(TrainConfig, ["--width=0.4", *flags])
    net = build(config, described(config.dataset, None, config.image_size))
    N = count(kernels(net))
    return constrained(config, net, N), N


def test_zeros_are_spread_evenly():
    net, N = untrained(PRUNED)
    nonzero = [int(tf.math.count_nonzero(w)) for w in kernels(net)]
    assert sum(nonzero) == round(RATIO * N)
    for w, kept in zip(kernels(net), nonzero):  # within five standard deviations of the binomial distribution
        size = np.prod(w.shape)
        assert abs(kept - RATIO * size) < 5 * (size * RATIO * (1 - RATIO)) ** 0.5 + 1


@pytest.mark.parametrize("flags", [("--projection=channel",), ("--projection=low_rank",), ("--method=alr",)])
def test_other_constraints(flags):
    net, N = untrained(PRUNED, *flags)
    assert 0 < sum(int(tf.math.count_nonzero(w)) for w in kernels(net)) <= round(RATIO * N)


def test_a_dense_net_keeps_its_weights():
    net, N = untrained("--method=da")
    assert sum(int(tf.math.count_nonzero(w)) for w in kernels(net)) == N


def test_bytes_are_those_of_a_net_with_other_weights_and_as_many_zeros(capsys):
    found = {file.format: file for file in forecast(untrained(PRUNED)[0])}
    assert set(found) == set(FORMATS)
    assert all(file.bytes and file.milliseconds > 0 for file in found.values())
    other = untrained(PRUNED, "--seed=1")[0]
    for name, share in (("float32", 0), ("sparse", 0.02)):
        assert len(convert(other, name)) == pytest.approx(found[name].bytes, rel=share)
    show(list(found.values()))
    assert f"{found['sparse'].bytes:,}" in capsys.readouterr().out
