"""The schedules of a stage: rates that begin anew in each stage, eps that stays once it has grown."""

import pytest

from robust_tf.flags.declare import parse
from robust_tf.training.callbacks.pacing import AdaptivePacing
from robust_tf.training.config import TrainConfig
from robust_tf.training.methods import METHODS
from robust_tf.training.schedules import interpolated, value_at
from robust_tf.training.stage import stage_schedule


def by_epoch(name, *flags):
    """{stage: the values of "eps", "steps" or "learning_rate" in its epochs}."""
    config = parse(TrainConfig, ["--pretrain_epochs=40", "--epochs=40", *flags])
    found, first_epoch = {}, 0
    for stage in METHODS[config.method].stages(config):
        schedule = stage_schedule(config, stage, first_epoch, AdaptivePacing("none"))
        read = interpolated if name in schedule.smooth else value_at
        epochs = range(first_epoch, first_epoch + stage.epochs)
        found[stage.name] = [read(schedule.sequences[name], epoch) for epoch in epochs]
        first_epoch += stage.epochs
    return {stage: values for stage, values in found.items() if values}


@pytest.mark.parametrize(
    ("flags", "first", "at_35"),
    [
        (["--learning_rate=0.1"], 0.1, 0.1 * 0.8**3),
        (["--learning_rate_schedule=thesis"], 0.05, 0.05 * 0.8**3),
        (["--learning_rate_schedule=atmc"], 0.005, 0.0005),
    ],
)
def test_default_and_named_rates_begin_anew_in_each_stage(flags, first, at_35):
    rates = by_epoch("learning_rate", "--method=admm", "--finetune_epochs=3", *flags)
    assert list(rates) == ["dense", "admm", "finetune"]
    assert [values[0] for values in rates.values()] == pytest.approx([first] * 3)
    assert rates["dense"] == rates["admm"]
    assert rates["admm"][35] == pytest.approx(at_35)


def test_rates_that_are_spelled_out_count_from_the_start_of_the_run():
    rates = by_epoch("learning_rate", "--method=ap", "--learning_rate_schedule=0:0.1,30:0.01,50:0.001")
    assert rates["dense"] == [0.1] * 30 + [0.01] * 10
    assert rates["finetune"] == [0.01] * 10 + [0.001] * 30


def test_one_cycle_extends_over_the_whole_run():
    rates = by_epoch("learning_rate", "--method=ap", "--learning_rate=0.2", "--learning_rate_schedule=one_cycle")
    whole = rates["dense"] + rates["finetune"]
    assert whole.index(max(whole)) == 24  # 30 % of 80 epochs
    assert max(whole) == pytest.approx(0.2)
    assert (whole[0], whole[79]) == (0, pytest.approx(0.2 / 56))


@pytest.mark.parametrize("method", ["ap", "admm", "atmc", "l0", "alr"])
def test_eps_and_steps_grow_over_the_dense_start(method):
    eps = by_epoch("eps", f"--method={method}", "--eps=0.3")
    assert (eps.pop("dense")[0], {value for values in eps.values() for value in values}) == (pytest.approx(0.1), {0.3})
    steps = by_epoch("steps", f"--method={method}", "--steps_schedule=thesis")
    assert steps.pop("dense")[:5] == [7, 7, 7, 7, 14]
    assert {value for values in steps.values() for value in values} == {21}


def test_without_a_dense_start_eps_grows_over_all_but_fine_tuning():
    eps = by_epoch("eps", "--method=admm", "--eps=0.3", "--pretrain_epochs=0", "--epochs=30", "--finetune_epochs=9")
    assert eps["admm"] == pytest.approx([0.1] * 10 + [0.2] * 10 + [0.3] * 10)
    assert eps["finetune"] == [0.3] * 9
