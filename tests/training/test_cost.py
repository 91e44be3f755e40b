"""Counted operations: by hand for LeNet, and what a dry run prints."""

from robust_tf.flags.declare import parse
from robust_tf.flags.text import flagfile
from robust_tf.models import MODELS
from robust_tf.training.config import TrainConfig
from robust_tf.training.cost import costs, speed
from robust_tf.training.dry_run import absent, dry_run

MACS = 2293000  # of LeNet, one image
TRAINED, HELD_OUT = 1437 - 287, 287  # scans


def total(*flags):
    config = parse(TrainConfig, list(flags))
    net = MODELS["lenet"]((28, 28, 1), 10)
    return {cost.stage: cost.operations / (2 * MACS) for cost in costs(config, net, 1437)}


def test_an_epoch_in_passes():
    """3 to train on an image, 2 a step of PGD, 22 to validate one."""
    validation = 22 * HELD_OUT
    assert total("--method=natural", "--epochs=2")["natural"] == 2 * (3 * TRAINED + validation)
    assert total("--method=da", "--epochs=1", "--steps=7")["dense"] == (14 + 6) * TRAINED + validation
    assert total("--method=da", "--epochs=1", "--adv_weight=1")["dense"] == (14 + 3 + 16 / 64) * TRAINED + validation
    assert total("--method=da", "--epochs=1", "--attack=fgsm_rs")["dense"] == (2 + 6) * TRAINED + validation
    ibp = total("--method=da", "--epochs=1", "--loss=ibp", "--eps_schedule=0:0.1")["dense"]
    assert ibp == (3 + 6) * TRAINED + validation
    net = MODELS["lenet"]((28, 28, 1), 10)  # its own teacher: a pass for each image more
    flags = ["--method=nap", "--pretrain_epochs=1", "--epochs=1"], ["--method=da", "--epochs=1", "--teacher=RUN"]
    for argv, expected in zip(flags, (0, TRAINED)):
        config = parse(TrainConfig, argv)
        taught, alone = (costs(config, net, 1437, teacher) for teacher in (net, None))
        assert sum(t.operations - a.operations for t, a in zip(taught, alone)) == expected * 2 * MACS
    for loss in ("sabr", "mtl_ibp"):  # each image is also attacked
        attacked = total("--method=da", "--epochs=1", f"--loss={loss}", "--eps_schedule=0:0.1", "--steps=4")["dense"]
        assert attacked == (8 + 3 + 6) * TRAINED + validation


def test_stages_and_schedules_are_added_up():
    passes = total("--method=admm", "--pretrain_epochs=1", "--epochs=2", "--steps_schedule=0:1,2:3")
    assert set(passes) == {"dense", "admm"}
    assert passes["dense"] == (2 + 6) * TRAINED + 22 * HELD_OUT
    assert passes["admm"] == (2 + 6 + 6 + 6) * TRAINED + 2 * 22 * HELD_OUT


def test_the_speed_of_this_machine_is_plausible():
    assert 1e7 < speed(MODELS["lenet"]((28, 28, 1), 10), batch_size=8, repeats=1) < 1e13


def test_a_dry_run_prints_a_flagfile_that_means_the_same(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["--width=0.3", "--eps_schedule=0:0.05,1:0.1", "--starts=uniform,stripes", "--ratio=0.02", "--epochs=2"]
    config = parse(TrainConfig, [*flags, "--dry_run"])
    dry_run(config)
    shown = capsys.readouterr().out
    assert "multiply-adds" in shown
    assert not list(tmp_path.iterdir())
    lines = flagfile(config, without=("dry_run",))
    assert all(line in shown for line in lines)
    assert parse(TrainConfig, [*lines, "--dry_run"]) == config


def test_the_size_of_own_images_comes_back_as_it_is_typed():
    config = parse(TrainConfig, ["--dataset=folder", "--image_size=48x64"])
    assert parse(TrainConfig, flagfile(config)).image_size == (48, 64)


def test_a_dry_run_says_that_a_data_set_would_be_downloaded(tmp_path):
    asked = lambda *flags: absent(parse(TrainConfig, flags))
    assert (
        asked("--dataset=mnist", f"--data_dir={tmp_path}")
        == f"mnist is not in {tmp_path}; training downloads it to there"
    )
    (tmp_path / "mnist").mkdir()
    assert asked("--dataset=mnist", f"--data_dir={tmp_path}") is None
    assert asked("--dataset=digits") is None
