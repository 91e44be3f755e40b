"""The flags of bin/train: defaults, and what is refused."""

import pytest

from robust_tf.flags.declare import parse
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig


def test_fractions_and_defaults():
    config = parse(TrainConfig, ["--eps=8/255", "--dataset=mnist"])
    assert config.eps == 8 / 255
    assert (config.optimizer, config.learning_rate, config.weight_decay) == ("adam", 0.001, 0)
    assert parse(TrainConfig, ["--dataset=mnist"]).eps == 0.3
    sgd = parse(TrainConfig, ["--optimizer=sgd"])
    assert (sgd.learning_rate, sgd.weight_decay) == (0.05, 5e-4)


def test_a_relative_data_folder_holds_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse(TrainConfig, ["--dataset=mnist", "--data_dir=data"]).data_dir == str(tmp_path / "data")


REFUSED = [
    ("--ratio=0", "(0, 1]; got '0'"),
    ("--ratio=1.5", "(0, 1]; got '1.5'"),
    ("--eps=-0.1", "[0, inf); got '-0.1'"),
    ("--eps=2", "[0, 1] with --norm=linf; got 2"),
    ("--eps_schedule=0:0.1,1:1.5", "[0, 1] with --norm=linf; got 1.5"),
    ("--norm=l2", "--eps: expected a value with --norm=l2"),
    ("--ratio_schedule=0:0.05,1:0.1", "--ratio_schedule: expected fractions that never rise; got 0.05, 0.1"),
    ("--eps=1/0", "[0, inf); got '1/0'"),
    ("--eps=nan", "[0, inf); got 'nan'"),
    ("--steps=-1", "an integer >= 0; got '-1'"),
    ("--steps=1.5", "an integer >= 0; got '1.5'"),
    ("--epochs=0", "an integer >= 1; got '0'"),
    ("--batch_size=0", "an integer >= 1; got '0'"),
    ("--learning_rate=-1", "[0, inf); got '-1'"),
    ("--adv_weight=1.1", "(0, 1]; got '1.1'"),
    ("--adv_weight=0", "(0, 1]; got '0'"),
    ("--model=resnet1", "FILE.keras, FILE.h5, ./FOLDER; got 'resnet1'"),
    ("--model=my.nets:", "package.module:function, or a Keras net: FILE.keras, FILE.h5, ./FOLDER; got 'my.nets:'"),
    ("--augment=crop,none", "--augment: expected none without others; got crop,none"),
    ("--augment=zoom", "one of crop, flip, rotate, none; got 'zoom'"),
    ("--dataset=mnits", "stl10, folder; got 'mnits'"),
    ("--method=magic", "one of natural, da, nap, ap, alr, l0, hydra, admm, atmc; got 'magic'"),
    (
        "--projection=magic",
        "one of irregular, per_layer, funnel, redundant, channel, low_rank, n_of_m, block, codebook; got 'magic'",
    ),
    ("--norm=l7", "one of linf, l2; got 'l7'"),
    ("--optimizer=lion", "one of sgd, adam; got 'lion'"),
    ("--rho=0", "(0, inf); got '0'"),
    ("--rho_max=1e-9", "expected at least --rho"),
    ("--floor=2", "[0, 1]; got '2'"),
    ("--bits=17", "an integer in [2, 16]; got '17'"),
    ("--seed=4294967296", "an integer in [0, 2147483647]; got '4294967296'"),
    ("--rho=1e400", "(0, inf); got '1e400'"),
    ("--eps=inf", "[0, inf); got 'inf'"),
    ("--flagfile=/bin/sh", "utf-8"),
    ("--ratio_schedule=0:1,5:0.5", "expected to end at --ratio"),
    ("--epsilon=1", "expected a flag that --help lists; got --epsilon; did you mean --eps?"),
    ("--flagfile=absent.cfg", "absent.cfg"),
    ("digits", "expected flags only, --name=value; got 'digits'"),
]


@pytest.mark.parametrize(("flag", "message"), REFUSED)
def test_refusals_say_what_was_expected_and_what_came(flag, message):
    with pytest.raises(Refusal) as refusal:
        parse(TrainConfig, [flag])
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("method", "flag", "message"),
    [
        ("da", "--ratio=0.1", "--ratio: expected --method=nap|ap|alr|l0|hydra|admm|atmc with it; got da"),
        ("normal", "--finetune_epochs=3", "--finetune_epochs: expected --method=l0|admm with it; got natural"),
        ("ap", "--rho=1", "--rho: expected --method=admm with it; got ap"),
        ("atmc", "--floor=0.1", "--floor: expected --method=nap|ap|admm with it; got atmc"),
        ("admm", "--phi=0.1", "--phi: expected --projection=redundant with it; got irregular"),
        ("da", "--beta=3", "--beta: expected --loss=trades with it; got mix"),
    ],
)
def test_flags_that_the_method_has_no_use_for(method, flag, message):
    with pytest.raises(Refusal) as refusal:
        parse(TrainConfig, [f"--method={method}", flag])
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--method=ap", "--projection=codebook"), "--projection=codebook: expected --method=admm with it; got ap"),
        (("--method=nap", "--projection=low_rank"), "--projection=low_rank: expected --method=admm with it; got nap"),
        (
            ("--norm=l2", "--eps=1.5", "--starts=uniform,blocks"),
            "--starts=uniform,blocks: expected --norm=linf with it; got l2",
        ),
        (("--norm=l2", "--eps=1", "--loss=ibp"), "--loss=ibp: expected --norm=linf with it; got l2"),
        (("--steps=0", "--alpha=0.1"), "--alpha: expected --steps above 0 with it; got 0"),
        (("--eps=0", "--loss=ibp"), "--loss=ibp: expected --eps above 0 with it; got 0"),
        (("--one_shot", "--method=atmc", "--l0_epochs=2"), "--l0_epochs: expected --one_shot=false with it; got true"),
        (
            ("--loss=trades", "--adv_weight=0.5"),
            "--adv_weight: expected --loss=mix|ibp|ibp_int8|sabr|mtl_ibp with it; got trades",
        ),
        (("--loss=ibp", "--attack=fgsm_rs"), "--attack: expected --loss=mix|trades|sabr|mtl_ibp with it; got ibp"),
        (("--attack=n_fgsm", "--starts=stripes"), "--starts: expected --attack=pgd|fgsm_rs with it; got n_fgsm"),
        (("--attack=n_fgsm", "--norandom_start"), "--random_start: expected --attack=pgd|fgsm_rs with it; got n_fgsm"),
        (("--loss=trades", "--starts=uniform"), "--starts: expected --loss=mix|sabr|mtl_ibp with it; got trades"),
        (("--adaptive=eps", "--loss=ibp"), "--loss=ibp: expected --adaptive=none|k with it; got eps"),
        (("--norm=l2", "--eps=1", "--attack=fgsm_rs"), "--attack=fgsm_rs: expected --norm=linf with it; got l2"),
    ],
)
def test_flags_that_do_not_go_together(flags, message):
    with pytest.raises(Refusal) as refusal:
        parse(TrainConfig, flags)
    assert str(refusal.value) == message


def test_named_plans():
    assert parse(TrainConfig, ["--learning_rate_schedule=atmc_plan_1"]).learning_rate_schedule == "atmc_plan_1"
    assert parse(TrainConfig, ["--steps_schedule=thesis"]).steps_schedule == "thesis"
    with pytest.raises(
        Refusal, match="one of thesis, atmc, atmc_plan_1, atmc_plan_3, atmc_code, one_cycle, or epoch:value"
    ):
        parse(TrainConfig, ["--learning_rate_schedule=mine"])
