"""Flags: what is read, what is refused, and that refusals come before TensorFlow."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robust_tf.config import EvaluateConfig, ExportConfig, SweepConfig, TrainConfig, parse
from robust_tf.evaluation.settings import settings
from robust_tf.flags import help_text
from robust_tf.kinds import real, sequence, whole
from robust_tf.refusal import Refusal


def test_fractions_and_defaults():
    config = parse(TrainConfig, ["--eps=8/255", "--dataset=mnist"])
    assert config.eps == 8 / 255
    assert (config.learning_rate, config.weight_decay) == (0.05, 5e-4)
    assert parse(TrainConfig, ["--dataset=mnist"]).eps == 0.3
    assert parse(TrainConfig, ["--optimizer=adam"]).learning_rate == 0.001


def test_a_relative_data_folder_holds_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse(TrainConfig, ["--data_dir=data"]).data_dir == str(tmp_path / "data")


def test_flags_after_a_flagfile_override_it(tmp_path):
    file = tmp_path / "a.cfg"
    file.write_text("# a comment\n--eps=0.1\n--epochs=3\n--norandom_start\n")
    config = parse(TrainConfig, [f"--flagfile={file}", "--epochs=5"])
    assert (config.eps, config.epochs, config.random_start) == (0.1, 5, False)


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), max_size=5), st.floats(0, 1))
def test_sequences_read_what_was_written(steps, first):
    epoch, pairs = 0, [(0, first)]
    for gap, value in steps:
        epoch += gap
        pairs.append((epoch, value))
    text = ",".join(f"{epoch}:{value!r}" for epoch, value in pairs)
    assert sequence(real(0, 1)).parse(text) == tuple(pairs)


@pytest.mark.parametrize("text", ["", "1:0.1", "0:0.1,0:0.2", "0:0.1,5:0.2,3:0.1", "0:2", "0", "a:b", "0:0.1;3:0.2"])
def test_bad_sequences(text):
    with pytest.raises(ValueError, match="expected epoch:value"):
        sequence(real(0, 1)).parse(text)


REFUSED = [
    ("--ratio=0", "(0, 1]; got '0'"),
    ("--ratio=1.5", "(0, 1]; got '1.5'"),
    ("--eps=-0.1", "[0, inf); got '-0.1'"),
    ("--eps=2", "[0, 1] with --norm=linf; got 2"),
    ("--eps_schedule=0:0.1,1:1.5", "[0, 1] with --norm=linf; got 1.5"),
    ("--norm=l2", "--eps: expected one with --norm=l2"),
    ("--ratio_schedule=0:0.05,1:0.1", "--ratio_schedule: expected fractions that fall; got 0.05, 0.1"),
    ("--eps=1/0", "[0, inf); got '1/0'"),
    ("--eps=nan", "[0, inf); got 'nan'"),
    ("--steps=-1", "an integer >= 0; got '-1'"),
    ("--steps=1.5", "an integer >= 0; got '1.5'"),
    ("--epochs=0", "an integer >= 1; got '0'"),
    ("--batch_size=0", "an integer >= 1; got '0'"),
    ("--learning_rate=-1", "[0, inf); got '-1'"),
    ("--adv_weight=1.1", "[0, 1]; got '1.1'"),
    ("--model=resnet1", "shufflenet_v2, or package.module:function; got 'resnet1'"),
    ("--model=my.nets:", "or package.module:function; got 'my.nets:'"),
    ("--augment=crop,none", "--augment: expected none alone; got crop,none"),
    ("--augment=zoom", "one of crop, flip, rotate, none; got 'zoom'"),
    ("--dataset=mnits", "stl10, folder; got 'mnits'"),
    ("--method=magic", "one of normal, da, nap, ap, alr, l0, admm, atmc; got 'magic'"),
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
    ("--epsilon=1", "Unknown command line flag 'epsilon'"),
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
    ("flag", "message"),
    [
        ("--attacks=fgsm,magic", "one of fgsm, ifgsm, pgd"),
        ("--attacks=fgsm,fgsm", "comma-separated, each once"),
        ("--restarts=0", "an integer >= 1"),
        ("--mode=magic", "one of attacks"),
        ("--eps=0.1", "--workdir: expected a run directory"),
    ],
)
def test_refusals_of_evaluation(flag, message):
    with pytest.raises(Refusal, match=message):
        parse(EvaluateConfig, [flag])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--mode=transfer", "--targets: expected one with --mode=transfer; got none"),
        ("--mode=ensemble", "--natural: expected one with --mode=ensemble; got none"),
        ("--mode=curve --radii=0.3,0.2", "comma-separated and growing"),
        ("--mode=curve --radii=0.3,2", "--radii: expected a number or fraction in [0, 1] with --norm=linf; got 2"),
        ("--mode=curve --eps=0.1", "--eps: expected --mode=attacks|ensemble|generalise|quantised|tflite with it"),
        ("--mode=generalise --attacks=pgd", "--attacks: expected --mode=attacks|quantised with it; got generalise"),
        ("--mode=tflite --norm=l2 --eps=1", "--mode=tflite: expected --norm=linf with it; got l2"),
        ("--source=y", "--source: expected --mode=transfer with it; got attacks"),
        ("--mode=transfer --targets=z --source=y", "--source: expected it in place of --workdir; got both, y and x"),
        ("--attacks=wrm", "--attacks=wrm: expected --mode=generalise for it, no radius bounds it; got attacks"),
        ("--attacks=cw_l2", "--attacks=cw_l2: expected --norm=l2 with it; got linf"),
        ("--attacks=fgsm --individual", "--individual: expected --attacks=autoattack with it; got fgsm"),
        ("--version=thesis", "--version: expected --attacks=autoattack with it; got fgsm,pgd"),
        ("--queries=5", "--queries: expected square among --attacks with it; got fgsm,pgd"),
        ("--attacks=autoattack --steps=5", "--steps: expected none with --attacks=autoattack; got 5"),
        ("--attacks=autoattack,pgd", "--attacks=autoattack: expected it alone, with --norm=linf --mode=attacks"),
        ("--mode=quantised --attacks=autoattack", "--attacks=autoattack: expected it alone"),
    ],
)
def test_refusals_of_the_modes(flags, message):
    with pytest.raises(Refusal) as refusal:
        settings(parse(EvaluateConfig, ["--workdir=x", *flags.split()]), {"eps": 0.3, "norm": "linf"})
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("mode", "asked"),
    [
        ("curve", {"radii": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], "steps": 100, "restarts": 1}),
        ("minimal", {"radii": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "steps": 100, "restarts": 1, "bisections": 5}),
        (
            "generalise",
            {"eps": 0.3, "steps": 100, "alpha": 0.0075, "loss_weight": 1.3, "deviation": 1.0, "wrm_steps": 3},
        ),
        ("tflite", {"file": None, "eps": 0.3, "steps": 100, "alpha": 0.0075, "restarts": 1, "queries": 5000}),
    ],
)
def test_what_a_mode_asks_by_default(mode, asked):
    config = parse(EvaluateConfig, ["--workdir=x", f"--mode={mode}"])
    expected = {"norm": "linf", **asked, "seed": 0}
    assert settings(config, {"eps": 0.3, "norm": "linf"}) == expected


@pytest.mark.parametrize(
    ("method", "flag", "message"),
    [
        ("da", "--ratio=0.1", "--ratio: expected --method=nap|ap|alr|l0|admm|atmc with it; got da"),
        ("normal", "--finetune_epochs=3", "--finetune_epochs: expected --method=admm with it; got normal"),
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
        (("--eps=0", "--loss=ibp"), "--loss=ibp: expected --eps above 0 with it; got 0"),
        (("--one_shot", "--method=atmc", "--l0_epochs=2"), "--l0_epochs: expected --one_shot=False with it; got True"),
        (("--loss=trades", "--adv_weight=0"), "--adv_weight: expected --loss=mix|ibp with it; got trades"),
        (("--loss=ibp", "--attack=fgsm_rs"), "--attack: expected --loss=mix|trades with it; got ibp"),
        (("--loss=trades", "--starts=uniform"), "--starts: expected --loss=mix with it; got trades"),
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
    with pytest.raises(Refusal, match="one of thesis, atmc, atmc_plan_1, atmc_plan_3, one_cycle, or epoch:value"):
        parse(TrainConfig, ["--learning_rate_schedule=mine"])


def test_the_attack_is_the_runs_unless_asked_otherwise():
    run = {"eps": 0.3, "norm": "l2"}
    asked = settings(parse(EvaluateConfig, ["--workdir=x", "--steps=7"]), run)
    assert (asked["eps"], asked["norm"], asked["steps"], asked["alpha"]) == (0.3, "l2", 7, 2.5 * 0.3 / 7)
    asked = settings(parse(EvaluateConfig, ["--workdir=x", "--eps=1/4", "--norm=linf"]), run)
    assert (asked["eps"], asked["norm"]) == (0.25, "linf")
    with pytest.raises(Refusal, match=r"--alpha: expected at most eps \(0.3\); got 0.5"):
        settings(parse(EvaluateConfig, ["--workdir=x", "--alpha=0.5"]), run)


@pytest.mark.parametrize(
    ("flags", "run", "message"),
    [
        ("--norm=l2", {"eps": 0.3, "norm": "linf"}, "--eps: expected one with --norm=l2, the run's is for linf; got"),
        ("--norm=l2 --mode=curve", {"eps": 0.3, "norm": "linf"}, "--radii: expected one with --norm=l2"),
        ("--mode=minimal", {"eps": 0.0, "norm": "linf"}, "--radii: expected some, the run was trained with eps 0"),
    ],
)
def test_radii_that_the_run_cannot_lend(flags, run, message):
    with pytest.raises(Refusal) as refusal:
        settings(parse(EvaluateConfig, ["--workdir=x", *flags.split()]), run)
    assert message in str(refusal.value)


def test_refusals_of_export():
    with pytest.raises(Refusal, match="one of float32, float16, dynamic, int8, sparse, compact"):
        parse(ExportConfig, ["--workdir=x", "--formats=float64"])


@pytest.mark.parametrize("Config", [TrainConfig, EvaluateConfig, ExportConfig, SweepConfig])
def test_help_names_every_flag_with_its_default(Config):
    text = help_text(Config)
    for name in Config.__dataclass_fields__:
        assert f"--{name}" in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_kinds_say_their_interval():
    assert real(0, 1, above=True).expected == "a number or fraction in (0, 1]"
    assert whole(2).parse("3") == 3


@pytest.mark.parametrize(
    ("command", "flag", "code"),
    [
        ("train", "--eps=2", 2),
        ("train", f"--workdir={__file__}", 2),
        ("evaluate", "--eps=2", 2),
        ("evaluate", "--workdir=absent", 2),
        ("export_tflite", "--formats=x", 2),
        ("export_tflite", "--workdir=absent", 2),
        ("sweep", "--grid=ratio=2", 2),
        ("sweep", "--rato=0.1", 2),
        ("sweep", "--evaluate='", 2),
        ("sweep", "--evaluate=--eps=2", 2),
        ("sweep", f"--workdir={__file__}", 2),
        ("train", "--help", 0),
        ("sweep", "--help", 0),
        ("evaluate", "--help", 0),
        ("export_tflite", "--help", 0),
    ],
)
def test_refusals_and_help_come_before_tensorflow(command, flag, code):
    program = (
        f"import sys; sys.argv = ['x', {flag!r}]\n"
        f"from robust_tf.commands.{command} import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    code = stop.code\nelse:\n    code = 0\n"
        "print('tensorflow' in sys.modules, code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"False {code}"
    assert len(done.stderr.splitlines()) == (1 if code else 0)
