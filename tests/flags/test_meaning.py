"""Which flags apply, given the others: derived from the registries' options, and refused where they do not."""

import dataclasses
import inspect
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robust_tf.attacks import ATTACKS
from robust_tf.data import DATASETS
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.flags.declare import flag, parse, read
from robust_tf.flags.kinds import SWITCH, TEXT, one_of, real
from robust_tf.flags.meaning import ABOVE_0, UNSET, depends_on, idle, meant, selectors
from robust_tf.flags.text import as_json, flagfile, from_json
from robust_tf.models import MODELS
from robust_tf.projections import PROJECTIONS
from robust_tf.refusal import Refusal
from robust_tf.training import LOSSES, TRAINING_ATTACKS
from robust_tf.training.config import TrainConfig
from robust_tf.training.methods import METHODS
from robust_tf.training.schedules import LEARNING_RATES, STEPS_SCHEDULES


@dataclasses.dataclass(frozen=True)
class Drink:
    """drink: a drink."""

    kind: str = flag(
        one_of(("tea", "water")), "tea", "what", options={"tea": ("milk", "minutes"), "water": ("bubbles",)}
    )
    milk: str = flag(one_of(("none", "oat", "cow")), "none", "with it", options={"oat": ("brand",), "cow": ("brand",)})
    brand: str = flag(TEXT, None, "whose")
    minutes: float = flag(real(0), "3", "how long", options={"above 0": ("cover",)})
    cover: bool = flag(SWITCH, "false", "a lid on it")
    bubbles: float = flag(real(0), None, "how many", options={UNSET: ("still",)})
    still: bool = flag(SWITCH, "false", "no movement")
    cups: float = flag(real(1), "1", "how many")

    def checked(self):
        return self


@pytest.mark.parametrize(
    ("flags", "applying"),
    [
        ("", "kind cups milk minutes cover"),
        ("--milk=oat", "kind cups milk brand minutes cover"),
        ("--minutes=0", "kind cups milk minutes"),
        ("--kind=water", "kind cups bubbles still"),
        ("--kind=water --bubbles=2", "kind cups bubbles"),
    ],
)
def test_by_hand(flags, applying):
    assert meant(parse(Drink, flags.split())) == set(applying.split())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--brand=x", "--brand: expected --milk=oat|cow with it; got none"),
        ("--kind=water --brand=x", "--brand: expected --kind=tea --milk=oat|cow with it; got --kind=water"),
        ("--kind=water --bubbles=1 --still", "--still: expected no --bubbles with it; got 1.0"),
        ("--minutes=0 --cover", "--cover: expected --minutes above 0 with it; got 0.0"),
    ],
)
def test_reasons_by_hand(flags, message):
    with pytest.raises(Refusal) as refusal:
        parse(Drink, flags.split())
    assert str(refusal.value) == message


TRAINING = [
    # a flag, and what makes it idle
    ("--learning_rate=0.1", "--learning_rate_schedule=atmc"),
    ("--learning_rate=0.1", "--learning_rate_schedule=0:0.1,5:0.01"),
    ("--steps=3", "--attack=fgsm_rs"),
    ("--alpha=0.1", "--attack=fgsm_rs"),
    ("--steps_schedule=thesis", "--attack=fgsm_rs"),
    ("--steps=3", "--loss=ibp"),
    ("--alpha=0.1", "--loss=ibp"),
    ("--random_start", "--loss=ibp"),
    ("--attack=pgd", "--loss=ibp"),
    ("--starts=stripes", "--loss=ibp"),
    ("--attack=pgd", "--loss=ibp_int8"),
    ("--box=0.2", "--loss=mtl_ibp"),
    ("--beta=3", "--loss=sabr"),
    ("--teacher=RUN", "--loss=mtl_ibp"),
    ("--random_start=false", "--loss=trades"),
    ("--starts=stripes", "--loss=trades"),
    ("--adv_weight=0.5", "--loss=trades"),
    ("--beta=3", "--loss=mix"),
    ("--starts=stripes", "--random_start=false"),
    ("--steps=3", "--steps_schedule=thesis"),
    ("--loss=trades", "--method=natural"),
    ("--attack=fgsm_rs", "--method=natural"),
    ("--adv_weight=0.5", "--method=nap"),
    ("--eps_schedule=0:0.1", "--method=natural"),
    ("--ratio=0.5", "--method=da"),
    ("--pretrain_epochs=2", "--method=da"),
    ("--finetune_epochs=2", "--method=atmc"),
    ("--ratio_schedule=0:1,3:0.1", "--method=ap"),
    ("--rho=0.1", "--method=l0"),
    ("--rho_max=0.1", "--method=ap"),
    ("--admm_interval=3", "--method=atmc"),
    ("--adaptive=k", "--method=l0"),
    ("--tolerance=0.2", "--adaptive=none"),
    ("--one_shot", "--method=l0"),
    ("--l0_epochs=2", "--method=atmc --one_shot"),
    ("--codebook_epochs=2", "--method=admm"),
    ("--score_epochs=2", "--method=ap"),
    ("--bits=4", "--projection=irregular"),
    ("--bits=4", "--method=atmc"),
    ("--project_every=2", "--method=admm"),
    ("--normalise_layers", "--method=ap"),
    ("--factor_start=svd", "--method=l0"),
    ("--factor_constraint=admm", "--method=admm"),
    ("--rho=0.1", "--method=atmc --factor_constraint=projection"),
    ("--thin_layers", "--method=admm"),
    ("--projection=channel", "--method=alr"),
    ("--floor=0.1", "--projection=channel"),
    ("--floor=0.1", "--method=atmc"),
    ("--block_size=8", "--projection=irregular"),
    ("--phi=0.1", "--projection=irregular"),
    ("--delta=0.1", "--projection=channel"),
    ("--data_dir=x", "--dataset=digits"),
    ("--image_size=32", "--dataset=mnist"),
    ("--conv_relu", "--model=resnet34"),
    ("--width=2", "--model=own.nets:net"),
    ("--kernel_start=bounds", "--init_from=RUN"),
]  # fmt: skip


@pytest.mark.parametrize(("idle_flag", "beside"), TRAINING)
def test_idle_flags_of_training_are_refused(idle_flag, beside):
    check_refusal(TrainConfig, [*beside.split(), idle_flag])


EVALUATION = [
    ("--version=thesis", "--attacks=pgd"),
    ("--individual", "--attacks=fgsm,pgd"),
    ("--queries=5", "--attacks=fgsm,pgd"),
    ("--steps=5", "--attacks=autoattack"),
    ("--steps=5", "--attacks=fgsm"),
    ("--alpha=0.01", "--attacks=apgd_ce"),
    ("--restarts=3", "--attacks=ifgsm"),
    ("--loss_weight=2", "--attacks=pgd"),
    ("--eps=0.1", "--mode=curve"),
    ("--radii=0.1,0.2", "--mode=attacks"),
    ("--attacks=pgd", "--mode=generalise"),
    ("--alpha=0.1", "--mode=curve"),
    ("--restarts=2", "--mode=usefulness"),
    ("--bisections=2", "--mode=curve"),
    ("--source=x", "--mode=curve"),
    ("--targets=x", "--mode=minimal"),
    ("--natural=x", "--mode=minimal"),
    ("--file=x", "--mode=quantised"),
    ("--batch_size=8", "--mode=pictures"),
    ("--batch_size=8", "--mode=usefulness"),
    ("--version=thesis", "--mode=quantised"),
]


RUN = {"": ["--workdir=x"], "source": ["--targets=y"]}  # what a command needs; by the flag, if it needs something else


@pytest.mark.parametrize(("idle_flag", "beside"), EVALUATION)
def test_idle_flags_of_evaluation_are_refused(idle_flag, beside):
    check_refusal(EvaluateConfig, [*RUN.get(name_of(idle_flag), RUN[""]), *beside.split(), idle_flag])


def name_of(flag):
    return flag[2:].partition("=")[0]


def check_refusal(Config, argv):
    """The last flag is refused, and accepted with each change that the message names."""
    name = name_of(argv[-1])
    with pytest.raises(Refusal) as refusal:
        parse(Config, argv)
    message = str(refusal.value)
    expected = re.fullmatch(rf"--{name}: expected (.+) with it; got .+", message)[1]
    for change in expected.split(" or "):
        for flags in itertools.product(*map(written, re.findall(r"no --\w+|--\w+ above 0|--\S+", change))):
            check_accepted(Config, argv, flags, name)


def written(part):
    """What a part of a message names: "--loss=mix|trades" -> [("--loss", "mix"), ("--loss", "trades")]."""
    if part.startswith("no "):
        return [(part[3:], None)]
    flag, _, values = part.replace(" above 0", "=1").partition("=")
    return [(flag, value) for value in values.split("|")]


def check_accepted(Config, argv, change, name):
    """--NAME applies with the change, and the command accepts it without the flags that no longer apply."""
    kept = [flag for flag in argv if flag.partition("=")[0] not in {changed for changed, _ in change}]
    kept += [f"{flag}={value}" for flag, value in change if value is not None]
    config, given = read(Config, kept)
    unused = idle(config, given)
    assert name not in unused, kept
    parse(Config, [flag for flag in kept if name_of(flag) not in unused])


# Values of flags without default.
VALUES = {"data_dir": "x", "image_size": "32", "eps": "0.1", "alpha": "0.01", "delta": "0.1", "radii": "0.1,0.2"}
VALUES |= {"eps_schedule": "0:0.1", "steps_schedule": "0:3", "ratio_schedule": "0:1,2:0.1", "learning_rate": "0.1"}
VALUES |= {"test_fraction": "0.3", "group_by": "[a-z]+", "memory": "2", "pretrain_epochs": "1"}
VALUES |= {"source": "a", "targets": "b", "natural": "c", "file": "d", "admm_interval": "5"}
VALUES |= {"margin": "0.1", "time_limit": "10m", "teacher": "RUN"}


@pytest.mark.parametrize("Config", [TrainConfig, EvaluateConfig])
def test_every_remedy_works(Config):
    """Of each flag, with each value of each flag on which it depends."""
    fields, tried = Config.__dataclass_fields__, 0
    for name, other in [(each, other) for each in fields for other in depends_on(Config, each) - {each}]:
        text = VALUES.get(name) or fields[name].metadata["default"]
        for value in set(fields[other].metadata["options"]) - {UNSET, ABOVE_0}:
            run = RUN.get(name, RUN[""]) if Config is EvaluateConfig else []
            argv = [*run, f"--{other}={value}", f"--{name}={text}"]
            if idle(*read(Config, argv))[:1] == [name]:
                tried += 1
                check_refusal(Config, argv)
    assert tried > 100


CHOICES = [
    st.sampled_from([f"--{name}={value}" for value in values])
    for name, values in {
        "method": METHODS,
        "loss": LOSSES,
        "attack": TRAINING_ATTACKS,
        "projection": PROJECTIONS,
        "steps_schedule": [*STEPS_SCHEDULES, "0:1,2:3"],
        "learning_rate_schedule": [*LEARNING_RATES, "0:0.1"],
        "random_start": ["true", "false"],
        "adaptive": ["k", "none"],
        "codebook_epochs": ["0", "2"],
    }.items()
]
SETTINGS = [
    "--steps=3", "--alpha=0.1", "--beta=2", "--adv_weight=0.5", "--ratio=0.5", "--rho=0.01", "--bits=4", "--floor=0.1",
    "--learning_rate=0.1", "--tolerance=0.3", "--starts=uniform", "--one_shot", "--l0_epochs=2", "--project_every=2",
    "--finetune_epochs=1", "--pretrain_epochs=1", "--data_dir=x", "--conv_relu", "--width=2", "--delta=0.1",
]  # fmt: skip


@given(st.lists(st.one_of(*CHOICES), max_size=4), st.sampled_from(SETTINGS))
def test_a_flag_is_refused_exactly_where_it_does_not_apply(chosen, setting):
    """And what is accepted is written as a flagfile that gives the same configuration; as JSON too."""
    chosen = list({line.partition("=")[0]: line for line in chosen}.values())
    try:
        without = parse(TrainConfig, chosen)
    except Refusal:
        return
    name = name_of(setting)
    if name in meant(without):
        config = parse(TrainConfig, [*chosen, setting])
        assert parse(TrainConfig, flagfile(config)) == config
        assert from_json(TrainConfig, as_json(config), "here") == config
    else:
        with pytest.raises(Refusal, match=f"^--{name}: expected "):
            parse(TrainConfig, [*chosen, setting])


@pytest.mark.parametrize("Config", [TrainConfig, EvaluateConfig])
def test_every_option_of_an_entry_is_a_flag(Config):
    fields = Config.__dataclass_fields__
    for field in fields.values():
        for value, entry in field.metadata["options"].items():
            for name in entry if isinstance(entry, tuple) else entry.options:
                assert name in fields, f"--{field.name}={value} names {name}"


@pytest.mark.parametrize(
    ("Config", "flags", "message"),
    [
        (EvaluateConfig, "--mode=attacks --loss_weight=2", "expected --mode=generalise with it; got attacks"),
        (
            EvaluateConfig,
            "--mode=quantised --version=thesis",
            "expected --mode=attacks --attacks=autoattack with it; got --mode=quantised --attacks=fgsm,pgd",
        ),
        (EvaluateConfig, "--mode=curve --alpha=0.1 --norm=l2", "expected --mode=attacks|generalise|quantised with it;"),
        (
            EvaluateConfig,
            "--mode=pictures --batch_size=8",
            "expected --mode=attacks|curve|minimal|generalise|quantised|tflite|certify with it; got pictures",
        ),
        (
            TrainConfig,
            "--method=ap --bits=4",
            "expected --method=admm --projection=codebook or --method=atmc --codebook_epochs above 0 with it; got"
            " --method=ap --projection=irregular",
        ),
        (
            TrainConfig,
            "--method=da --bits=4",
            "expected --method=admm --projection=codebook or --method=atmc --codebook_epochs above 0 with it; got"
            " --method=da",
        ),
        (
            TrainConfig,
            "--method=l0 --project_every=2 --bits=4",  # which ADMM does not take
            "expected --method=atmc --codebook_epochs above 0 with it; got --method=l0",
        ),
    ],
)  # fmt: skip
def test_remedies_by_hand(Config, flags, message):
    run = ["--workdir=x"] if Config is EvaluateConfig else []
    with pytest.raises(Refusal) as refusal:
        parse(Config, [*run, *flags.split()])
    assert message in str(refusal.value)


@pytest.mark.parametrize("Config", [TrainConfig, EvaluateConfig])
def test_idle_flags_are_those_that_others_name(Config):
    config = parse(Config, ["--workdir=x"])
    names = list(Config.__dataclass_fields__)
    unused = idle(config, names)
    assert set(unused) == set(names) - meant(config)
    assert all(selectors(Config, name) for name in unused)


def keywords(function):
    """Its keyword arguments; all may be positional."""
    return set(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", ATTACKS)
def test_options_of_an_attack_are_its_keywords(name):
    attack = ATTACKS[name]
    expected = {"logits_fn", "x", "y", *attack.options}
    expected |= {"eps"} if attack.norms else set()
    expected |= {"norm"} if len(attack.norms) > 1 else set()
    expected |= {"seed"} if attack.random else set()
    taken = {
        name
        for name, parameter in inspect.signature(attack.resolve()).parameters.items()
        if name in expected or parameter.default is inspect.Parameter.empty
    }
    assert taken == expected


@pytest.mark.parametrize("name", PROJECTIONS)
def test_options_of_a_projection_are_its_keywords(name):
    projection = PROJECTIONS[name]
    expected = {"kernels", "k", *projection.options, *(["exempt"] if projection.exempts_depthwise else [])}
    assert expected <= keywords(projection.resolve())
    further = keywords(projection.resolve()) - expected
    assert not further & set(TrainConfig.__dataclass_fields__)  # nor a flag that it takes and does not name


@pytest.mark.parametrize("name", MODELS)
def test_options_of_a_net_are_its_keywords(name):
    taken = keywords(MODELS[name].resolve())
    assert taken == {"input_shape", "num_classes", "normalisation", *MODELS[name].options}


@pytest.mark.parametrize("name", DATASETS)
def test_options_of_a_data_set(name):
    own = {"image_size", "grey", "test_fraction", "split_seed", "group_by", "skip_unreadable", "memory"}
    assert set(DATASETS[name].options) <= {"data_dir", *(own if DATASETS[name].is_own else ())}
