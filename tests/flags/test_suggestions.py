"""Messages that refuse a misspelt name or a radius of 8-bit pixels say what may have been meant."""

import pytest

from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.flags.declare import parse
from robust_tf.flags.suggestions import did_you_mean, of_8_bits
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig


@pytest.mark.parametrize(
    ("Config", "flag", "end"),
    [
        (TrainConfig, "--eps=8", "got 8; did you mean 8/255?"),
        (TrainConfig, "--epsilon=8/255", "got --epsilon; did you mean --eps?"),
        (TrainConfig, "--model=LENET", "got 'LENET'; did you mean lenet?"),
        (
            TrainConfig,
            "--model=mobilenet",
            "got 'mobilenet'; did you mean mobilenet_v1 or mobilenet_v2 or mobilenet_v2_edge?",
        ),
        (TrainConfig, "--starts=uniform,strips", "got 'uniform,strips'; did you mean stripes?"),
        (TrainConfig, "--learning_rate_schedule=one_cyle", "got 'one_cyle'; did you mean one_cycle?"),
        (TrainConfig, "--method=xyz", "got 'xyz'"),
        (TrainConfig, "--eps=300", "got 300"),
        (TrainConfig, "--zzz=1", "got --zzz"),
        (EvaluateConfig, "--attacks=pdg", "got 'pdg'; did you mean pgd?"),
    ],
)
def test_refusals_end_with_what_was_meant(Config, flag, end):
    with pytest.raises(Refusal) as refusal:
        parse(Config, [flag])
    assert str(refusal.value).endswith(end)


def test_by_hand():
    assert did_you_mean("Wide-Net", ["wide_net", "wide_net_2"]) == "; did you mean wide_net?"
    assert did_you_mean("wide", ["wide_net", "deep"], "--") == "; did you mean --wide_net?"
    assert did_you_mean("", ["a"]) == did_you_mean("q", ["abc", "def"]) == ""
    assert [of_8_bits(eps) for eps in (0.5, 1, 8, 255, 256)] == [
        "", "", "; did you mean 8/255?", "; did you mean 255/255?", "",
    ]  # fmt: skip
