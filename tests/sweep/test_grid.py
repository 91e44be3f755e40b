"""The grid of a sweep: which runs there are, what they have in common, and what is refused."""

import pytest

from robust_tf.flags.declare import divided, parse
from robust_tf.refusal import Refusal
from robust_tf.sweep.config import SweepConfig
from robust_tf.sweep.grid import cells, command_line, values_of
from robust_tf.training.callbacks.pacing import AdaptivePacing
from robust_tf.training.config import TrainConfig
from robust_tf.training.methods import METHODS
from robust_tf.training.schedules import value_at
from robust_tf.training.stage import stage_schedule


def test_all_combinations(tmp_path):
    starts, found = cells({"model": "lenet"}, values_of(["ratio=0.1,0.01", "method=l0,admm"]), (0, 1), tmp_path)
    assert starts == []
    assert [cell.name for cell in found[:3]] == [
        "ratio-0.1_method-l0_seed-0",
        "ratio-0.1_method-l0_seed-1",
        "ratio-0.1_method-admm_seed-0",
    ]
    assert len(found) == 8
    assert found[0].flags == {"model": "lenet", "ratio": "0.1", "method": "l0", "seed": "0"}


def test_values_with_commas():
    assert values_of(["augment=crop;crop,flip"]) == {"augment": ["crop", "crop,flip"]}


def test_flags_that_do_not_apply_to_a_run_are_left_out(tmp_path):
    """Dense training has no ratio, so that its two combinations are one run."""
    grid = values_of(["method=da,ap", "ratio=0.1,0.2"])
    _, found = cells({"rho": "0.1"}, grid, (0,), tmp_path)
    assert [(cell.name, cell.without) for cell in found] == [
        ("method-da_seed-0", ("rho", "ratio")),
        ("method-ap_ratio-0.1_seed-0", ("rho",)),
        ("method-ap_ratio-0.2_seed-0", ("rho",)),
    ]
    assert found[0].varied == {"method": "da"}


def test_dense_epochs_do_not_apply_to_dense_training(tmp_path):
    grid = values_of(["method=da,ap", "pretrain_epochs=1,2"])
    _, found = cells({}, grid, (0,), tmp_path)
    assert [(cell.name, cell.without) for cell in found] == [
        ("method-da_seed-0", ("pretrain_epochs",)),
        ("method-ap_pretrain_epochs-1_seed-0", ()),
        ("method-ap_pretrain_epochs-2_seed-0", ()),
    ]


def test_cells_share_dense_starts(tmp_path):
    """One for each seed, and a natural one for NAP; the rest of each run goes on from it."""
    flags = {"pretrain_epochs": "4", "epochs": "5", "eps": "0.2"}
    starts, found = cells(flags, values_of(["method=nap,ap,admm,atmc", "ratio=0.1,0.01"]), (0, 1), tmp_path)
    assert len(found) == 16
    assert [start.flags["method"] for start in starts] == ["natural", "natural", "da", "da"]
    for start in starts:
        assert start.flags["epochs"] == "4"
        followers = [cell for cell in found if cell.start == start.name]
        assert {cell.flags["seed"] for cell in followers} == {start.flags["seed"]}
        for cell in followers:
            config = parse(TrainConfig, command_line(cell.flags))
            assert config.init_from == str(tmp_path / start.name)
            assert (config.pretrain_epochs, config.epochs) == (0, 5)
            assert config.eps_schedule == (None if config.method == "nap" else ((0, 0.2),))  # nap attacks nothing


def test_every_dense_run_is_a_start_of_its_own(tmp_path):
    for varied in ("pretrain_epochs=1,2", "data_dir=a,b", "eps=0.1,0.2"):
        flags = {"dataset": "mnist", "method": "ap", "pretrain_epochs": "1"}
        starts, found = cells(flags, values_of([varied]), (0,), tmp_path)
        assert len({start.name for start in starts}) == len({cell.start for cell in found}) == 2


def test_flags_that_change_together(tmp_path):
    """A flagfile is a value of the grid; of a flag in the file and elsewhere the later one counts."""
    (tmp_path / "ap.cfg").write_text("--method=l0\n--epochs=3\n")
    (tmp_path / "admm.cfg").write_text("--method=admm\n--epochs=1\n--finetune_epochs=2\n--noconv_relu\n")
    files = f"flagfile={tmp_path / 'ap.cfg'},{tmp_path / 'admm.cfg'}"
    _, found = cells({"epochs": "9", "conv_relu": "true"}, values_of([files, "ratio=0.1"]), (0,), tmp_path)
    assert [(cell.name, cell.varied) for cell in found] == [
        (f"flagfile-{name}_ratio-0.1_seed-0", {"flagfile": name, "ratio": "0.1"}) for name in ("ap", "admm")
    ]
    assert found[0].flags == {"method": "l0", "epochs": "3", "conv_relu": "true", "ratio": "0.1", "seed": "0"}
    assert found[1].flags == {
        "method": "admm", "epochs": "1", "finetune_epochs": "2", "conv_relu": "false", "ratio": "0.1", "seed": "0"
    }  # fmt: skip
    _, (later, _) = cells({}, values_of([files, "epochs=7"]), (0,), tmp_path)
    _, (earlier, _) = cells({}, values_of(["epochs=7", files]), (0,), tmp_path)
    assert (later.flags["epochs"], earlier.flags["epochs"]) == ("7", "3")


@pytest.mark.parametrize("line", ["--jobs=2", "--seed=3", "--workdir=x", "--dry_run", "--evaluate=--eps=0.1", "method"])
def test_what_a_flagfile_of_the_grid_may_not_hold(tmp_path, line):
    (tmp_path / "a.cfg").write_text(f"{line}\n")
    with pytest.raises(Refusal, match=r"--grid=flagfile=.*a\.cfg: expected flags"):
        values_of([f"flagfile={tmp_path / 'a.cfg'}"])
    with pytest.raises(Refusal, match=r"--grid=flagfile=.*absent"):
        values_of([f"flagfile={tmp_path / 'absent'}"])


def test_one_run_spelled_twice(tmp_path):
    _, found = cells({"method": "ap"}, values_of(["ratio=0.1,1/10,1e-1"]), (0,), tmp_path)
    assert [cell.name for cell in found] == ["ratio-0.1_seed-0"]


def test_long_names_are_cut(tmp_path):
    long = ["init_from=" + ",".join("x" * 150 + end for end in "ab")]
    _, found = cells({"method": "ap"}, values_of(long), (0,), tmp_path)
    assert len({cell.name for cell in found}) == 2
    assert max(len(cell.name) for cell in found) <= 120


def test_schedules_are_cut_where_the_start_ends(tmp_path):
    flags = {
        "method": "admm", "pretrain_epochs": "3", "epochs": "4", "eps_schedule": "0:0.1,2:0.2,5:0.3",
        "learning_rate_schedule": "0:0.1,3:0.01", "ratio_schedule": "0:1,4:0.1", "steps_schedule": "thesis",
    }  # fmt: skip
    (start,), (cell,) = cells(flags, {}, (0,), tmp_path)
    assert start.flags["eps_schedule"] == "0:0.1,2:0.2"
    assert start.flags["learning_rate_schedule"] == "0:0.1"
    assert "ratio_schedule" not in start.flags
    assert cell.flags["eps_schedule"] == "0:0.2,2:0.3"
    assert cell.flags["learning_rate_schedule"] == "0:0.01"
    assert cell.flags["ratio_schedule"] == "0:1.0,1:0.1"
    assert start.flags["steps_schedule"] == "thesis"
    assert cell.flags["steps_schedule"] == "0:21"


SCHEDULES = [
    {},
    {"learning_rate_schedule": "atmc", "steps_schedule": "thesis"},
    {"learning_rate_schedule": "thesis"},
    {"learning_rate_schedule": "0:0.1,4:0.01,30:0.001", "eps_schedule": "0:0.01,3:0.05,20:0.1"},
    {"steps_schedule": "0:1,15:3"},
]


@pytest.mark.parametrize("method", ["ap", "alr", "l0", "admm", "atmc"])
@pytest.mark.parametrize("schedules", SCHEDULES)
def test_a_sweep_schedules_as_one_run_does(tmp_path, method, schedules):
    """eps, steps and learning rate of the dense start and of the rest are those of bin/train in every epoch."""
    flags = {"method": method, "pretrain_epochs": "12", "epochs": "33", **schedules}
    (start,), (cell,) = cells(flags, {}, (0,), tmp_path)
    assert by_epoch(start.flags) + by_epoch(cell.flags) == by_epoch(flags)


def test_a_user_s_net_reaches_the_starts_and_the_rest(tmp_path):
    """--init_from=FILE names the net, which the cells need beside the start's weights."""
    flags = {"method": "ap", "pretrain_epochs": "2", "epochs": "3", "init_from": str(tmp_path / "net.keras")}
    (start,), found = cells(flags, values_of(["ratio=0.1,0.2"]), (0,), tmp_path)
    for cell in (start, *found):
        assert parse(TrainConfig, command_line(cell.flags)).model == str(tmp_path / "net.keras")
    assert {cell.flags["init_from"] for cell in found} == {str(tmp_path / start.name)}


def by_epoch(flags):
    """[(eps, steps, learning rate)] in the epochs of a run."""
    config = parse(TrainConfig, command_line(flags))
    found, first_epoch = [], 0
    for stage in METHODS[config.method].stages(config):
        sequences = stage_schedule(config, stage, first_epoch, AdaptivePacing("none")).sequences.values()
        epochs = range(first_epoch, first_epoch + stage.epochs)
        found += [tuple(value_at(sequence, epoch) for sequence in sequences) for epoch in epochs]
        first_epoch += stage.epochs
    return found


def test_a_schedule_of_the_whole_run_leaves_no_start_to_share(tmp_path):
    flags = {"method": "ap", "pretrain_epochs": "4", "learning_rate_schedule": "one_cycle"}
    starts, found = cells(flags, values_of(["ratio=0.1,0.2"]), (0,), tmp_path)
    assert starts == []
    assert [cell.flags["pretrain_epochs"] for cell in found] == ["4", "4"]


def test_an_impossible_combination_is_a_failed_cell(tmp_path):
    grid = values_of(["method=ap,admm", "projection=irregular,codebook"])
    _, found = cells({}, grid, (0,), tmp_path)
    assert [bool(cell.refused) for cell in found] == [False, True, False, False]
    assert "--projection=codebook: expected --method=admm" in found[1].refused
    with pytest.raises(Refusal, match="--projection=codebook"):
        cells({"method": "ap"}, values_of(["projection=codebook"]), (0,), tmp_path)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ("rato=1", "a flag of bin/train"),
        ("seed=1,2", "or --seeds for seeds"),
        ("ratio=0.1,", r"\(0, 1\]; got ''"),
        ("ratio", "got ''"),
        ("method=ap,amdm", "got 'amdm'"),
        ("epsilon=0.1", r"got 'epsilon'; did you mean eps\?"),
        ("conv_relu=yes,maybe", "maybe|Non-boolean"),
    ],
)
def test_bad_grids(grid, said):
    with pytest.raises(Refusal, match=said):
        values_of([grid])
    with pytest.raises(Refusal, match="each flag once"):
        values_of(["ratio=1", "ratio=0.5"])


def test_two_values_of_one_name(tmp_path):
    with pytest.raises(Refusal, match="name different folders"):
        cells({}, values_of(["init_from=a/b,a_b"]), (0,), tmp_path)


def test_flags_are_divided_between_sweep_and_training(tmp_path):
    file = tmp_path / "a.cfg"
    file.write_text("--ratio=0.1\n--conv_relu\n")
    argv = [
        f"--flagfile={file}",
        "--grid",
        "method=ap",
        "--norandom_start",
        "--workdir=w",
        "--ratio",
        "0.2",
        "--grid=eps=1",
    ]
    own, flags = divided(argv, SweepConfig, TrainConfig)
    assert own == ["--grid=method=ap", "--workdir=w", "--grid=eps=1"]
    assert flags == {"ratio": "0.2", "conv_relu": "true", "random_start": "false"}
    for wrong, said in [
        (["--ratio"], "a value; got none"),
        (["x"], "flags only"),
        (["--flagfile=/absent"], "absent"),
        (["--grids=eps=1"], r"got --grids; did you mean --grid\?"),
        (["--ratoi=1"], r"got --ratoi; did you mean --ratio\?"),
    ]:
        with pytest.raises(Refusal, match=said):
            divided(wrong, SweepConfig, TrainConfig)
