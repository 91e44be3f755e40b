"""The flags of bin/evaluate, and the settings that follow from them and the run."""

import pytest

from robust_tf.attacks import ATTACKS, Attack
from robust_tf.evaluation import MODES
from robust_tf.evaluation.config import EvaluateConfig, check_data_dir
from robust_tf.evaluation.run import name_of
from robust_tf.evaluation.settings import on_margin, resolved, settings
from robust_tf.flags.declare import parse
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig


def trained_as(eps=0.3, norm="linf"):
    return parse(TrainConfig, ["--method=da", f"--eps={eps}", f"--norm={norm}"])


def asked(flags, run=None):
    """The resolved configuration of bin/evaluate, of a run with eps 0.3 in linf if none is given."""
    return resolved(parse(EvaluateConfig, ["--workdir=x", *flags.split()]), run or trained_as())


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
        ("--mode=transfer", "--targets: expected a value with --mode=transfer; got none"),
        ("--mode=ensemble", "--natural: expected a value with --mode=ensemble; got none"),
        ("--mode=curve --radii=0.3,0.2", "comma-separated and increasing"),
        ("--mode=curve --radii=0.3,2", "--radii: expected a number or fraction in [0, 1] with --norm=linf; got 2"),
        (
            "--mode=curve --eps=0.1",
            "--eps: expected --mode=attacks|generalise|quantised|tflite|certify|pictures|usefulness with it; got curve",
        ),
        ("--mode=generalise --attacks=pgd", "--attacks: expected --mode=attacks|quantised with it; got generalise"),
        ("--mode=tflite --norm=l2 --eps=1", "--mode=tflite: expected --norm=linf with it; got l2"),
        ("--source=y", "--source: expected --mode=transfer with it; got attacks"),
        ("--mode=transfer --targets=z --source=y", "--source: expected no --workdir beside it; got both, y and x"),
        ("--attacks=wrm", "--attacks=wrm: expected --mode=generalise, as no radius bounds this attack; got attacks"),
        ("--attacks=cw_l2", "--attacks=cw_l2: expected --norm=l2 with it; got linf"),
        ("--attacks=fgsm --individual", "--individual: expected --attacks=autoattack with it; got fgsm"),
        ("--version=thesis", "--version: expected --attacks=autoattack with it; got fgsm,pgd"),
        (
            "--queries=5",
            "or --attacks=square with it; got --mode=attacks --attacks=fgsm,pgd",
        ),
        ("--attacks=autoattack --steps=5", "|fab|fab_t with it; got autoattack"),
        ("--steps=0 --alpha=0.1", "--alpha: expected --steps above 0 with it; got 0"),
        ("--attacks=autoattack,pgd", "--attacks=autoattack: expected it alone, with --norm=linf --mode=attacks"),
        ("--mode=quantised --attacks=autoattack", "--attacks=autoattack: expected it alone"),
    ],
)
def test_refusals_of_the_modes(flags, message):
    with pytest.raises(Refusal) as refusal:
        asked(flags)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("curve", {"radii": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0), "steps": 100, "restarts": 1}),
        ("minimal", {"radii": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), "steps": 100, "restarts": 1, "bisections": 5}),
        (
            "generalise",
            {"eps": 0.3, "steps": 100, "alpha": 0.0075, "loss_weight": 1.3, "deviation": 1.0, "wrm_steps": 3},
        ),
        ("tflite", {"file": None, "eps": 0.3, "steps": 100, "alpha": 0.0075, "restarts": 1, "queries": 5000}),
        ("pictures", {"eps": 0.3, "steps": 100, "num_images": 8}),
        ("usefulness", {"eps": 0.3, "steps": 100, "num_images": 100}),
    ],
)
def test_what_a_mode_asks_by_default(mode, expected):
    given = settings(asked(f"--mode={mode}"), MODES[mode].Record)
    assert given == {"mode": mode, "norm": "linf", "seed": 0, "further": None, **expected}


def test_a_folder_that_the_data_set_does_not_use_is_refused():
    check_data_dir("x", "mnist")
    check_data_dir(None, "digits")
    expected = r"--data_dir=x: expected one of the data sets mnist\|.*\|folder with it; got digits"
    with pytest.raises(Refusal, match=expected):
        check_data_dir("x", "digits")


def test_the_attack_is_the_runs_unless_asked_otherwise():
    run = trained_as(eps=0.3, norm="l2")
    given = asked("--steps=7", run)
    assert (given.eps, given.norm, given.steps, given.alpha) == (0.3, "l2", 7, 2.5 * 0.3 / 7)
    given = asked("--eps=1/4 --norm=linf", run)
    assert (given.eps, given.norm) == (0.25, "linf")
    with pytest.raises(Refusal, match=r"--alpha: expected at most eps \(0.3\); got 0.5"):
        asked("--alpha=0.5", run)


@pytest.mark.parametrize(
    ("flags", "run", "message"),
    [
        ("--norm=l2", {"eps": 0.3}, "--eps: expected a value with --norm=l2, as the run's is for linf; got"),
        ("--norm=l2 --mode=curve", {"eps": 0.3}, "--radii: expected a value with --norm=l2"),
        ("--mode=minimal", {"eps": 0}, "--radii: expected a value, as the run was trained with eps 0"),
    ],
)
def test_radii_that_the_run_cannot_lend(flags, run, message):
    with pytest.raises(Refusal) as refusal:
        asked(flags, trained_as(**run))
    assert message in str(refusal.value)


def test_which_attacks_need_the_margin_for_so_few_classes():
    for flags, classes, names in [
        ("--attacks=pgd,apgd_t,apgd_dlr", 4, ()),
        ("--attacks=pgd,apgd_t,apgd_dlr", 3, ("apgd_t",)),
        ("--attacks=pgd,apgd_t,apgd_dlr", 2, ("apgd_t", "apgd_dlr")),
        ("--attacks=autoattack", 3, ("apgd_t",)),
        ("--attacks=autoattack --version=thesis", 3, ()),
        ("--attacks=autoattack --version=thesis", 2, ("apgd_dlr",)),
        ("--mode=curve", 2, ()),
    ]:
        assert on_margin(asked(flags), classes) == names


def test_settings_that_a_record_has_no_field_for_are_kept(monkeypatch):
    """Of an attack that was added: its options are in the record and in the file's name."""
    new = Attack(address="nowhere:new", options=("restarts", "deviation"))
    monkeypatch.setitem(ATTACKS, "new", new)
    names = set()
    for deviation in (0.5, 2.0):
        config = asked(f"--attacks=new --deviation={deviation}")
        assert settings(config, MODES["attacks"].Record)["further"] == {"deviation": deviation}
        names.add(name_of(config, 10))
    assert len(names) == 2
