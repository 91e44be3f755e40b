"""Run directories: claimed once, resumed by the same configuration, never overwritten by another."""

import dataclasses
import json

import pytest

from robust_tf.flags.declare import parse
from robust_tf.flags.text import flagfile
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig
from robust_tf.training.rundir import RunDirectory, default_path


def config(workdir, *flags):
    return parse(TrainConfig, [f"--workdir={workdir}", "--epochs=3", *flags])


def claim(asked):
    run = RunDirectory.for_config(asked)
    run.claim(asked)
    return run


def written(run):
    """The values in config.json."""
    return json.loads((run.path / "config.json").read_text())


def rewritten(run, values):
    (run.path / "config.json").write_text(json.dumps(values))
    return RunDirectory(run.path)


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_configuration_resumes(tmp_path):
    run = claim(config(tmp_path / "run"))
    assert run.path == tmp_path / "run"
    before = snapshot(run.path)
    assert claim(config(run.path)).path == run.path
    assert snapshot(run.path) == before


def test_the_configuration_reads_back(tmp_path):
    asked = config(tmp_path / "run", "--eps=8/255", "--eps_schedule=0:0.01,1:8/255", "--augment=flip,crop")
    assert dataclasses.replace(RunDirectory(claim(asked).path).config, dry_run=asked.dry_run) == asked


def test_a_folder_that_cannot_be_made_is_refused_before_anything_else(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal, match=r"expected a writable folder; got a file at .*/file"):
        RunDirectory.for_config(config(tmp_path / "file" / "run", "--dry_run"))
    with pytest.raises(Refusal, match=r"--workdir=/proc/run: expected a writable folder; got .* at /proc"):
        RunDirectory.for_config(config("/proc/run", "--dry_run"))


def test_data_may_have_moved(tmp_path):
    claim(config(tmp_path / "run", "--dataset=mnist", "--data_dir=/old"))
    run = claim(config(tmp_path / "run", "--dataset=mnist", "--data_dir=/new"))
    assert RunDirectory(run.path).config.data_dir == "/new"


def test_more_epochs_continue(tmp_path):
    claim(config(tmp_path / "run"))
    assert RunDirectory(claim(config(tmp_path / "run", "--epochs=5")).path).config.epochs == 5


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--eps=0.01", "expected the flags of that run, --eps=0.1; got --eps=0.01"),
        ("--epochs=2", "expected --epochs >= 3, as trained; got 2"),
    ],
)
def test_another_configuration_is_refused_and_changes_nothing(shared_runs, flag, message):
    """Of a run that has ended."""
    run = RunDirectory(shared_runs / "natural")
    lines = [line for line in flagfile(run.config) if line.partition("=")[0] != flag.partition("=")[0]]
    with pytest.raises(Refusal, match=message):
        RunDirectory.for_config(parse(TrainConfig, [*lines, f"--workdir={run.path}", flag]))


def test_asking_changes_nothing(tmp_path):
    assert RunDirectory.for_config(config(tmp_path / "run")).path == tmp_path / "run"
    assert not list(tmp_path.iterdir())


def test_epochs_that_were_only_asked_for_may_be_taken_back(tmp_path):
    claim(config(tmp_path / "run", "--epochs=500"))
    assert RunDirectory(claim(config(tmp_path / "run", "--epochs=5")).path).config.epochs == 5


def test_foreign_files_are_refused_and_kept(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(Refusal, match="foreign files"):
        claim(config(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_a_killed_process_leaves_is_not_foreign(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / "partial-config.json").write_text("{")
    assert claim(config(tmp_path)).path == tmp_path


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ('{"dataset": "dig', "readable JSON"),
        ("null", "expected"),
        ("{}", "got one without dataset"),
        ('{"dataset": "nope"}', "got 'nope'"),
        ("[]", "expected"),
        ('{"record_version": 99}', "expected a configuration of version 2 or before; got 99"),
    ],
)
def test_a_damaged_config_is_refused_and_kept(tmp_path, damaged, message):
    run = claim(config(tmp_path / "run"))
    (run.path / "config.json").write_text(damaged)
    run.net_path.write_bytes(b"")
    for ask in (lambda: claim(config(run.path)), lambda: RunDirectory.open(run.path)):
        with pytest.raises(Refusal, match=message):
            ask()
    assert (run.path / "config.json").read_text() == damaged


def test_a_data_set_that_is_not_known(tmp_path):
    run = claim(config(tmp_path / "run"))
    rewritten(run, {**written(run), "dataset": "nope"})
    with pytest.raises(Refusal, match=r"dataset: expected one of digits, mnist, .*folder; got 'nope'"):
        claim(config(run.path))


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "evaluation").write_text("mine")
    with pytest.raises(Refusal, match="expected a writable folder"):
        RunDirectory(tmp_path).subfolder("evaluation")


def test_default_name_follows_the_configuration():
    first, again, other = parse(TrainConfig, []), parse(TrainConfig, ["--epochs=99"]), parse(TrainConfig, ["--seed=1"])
    assert default_path(first) == default_path(again) != default_path(other)
    assert default_path(first).name.startswith("digits-lenet-admm-")
    assert default_path(parse(TrainConfig, ["--eps=0.1"])) == default_path(first)  # the data set's
    assert dataclasses.replace(first, workdir="x") != first


def test_an_unfinished_run_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"expected a finished run of bin/train \(model.keras\)"):
        RunDirectory.open(tmp_path)


def test_a_second_lock_is_refused_and_the_first_can_be_given_back(tmp_path):
    run = RunDirectory(tmp_path / "run")
    with run.locked(), pytest.raises(Refusal, match="expected an exclusive lock on it"), run.locked():
        pass
    with run.locked():
        assert run.path.is_dir()


def test_a_run_that_is_older_than_a_flag_has_its_default(tmp_path):
    asked = config(tmp_path / "run")
    run = claim(asked)
    values = written(run)
    for name in ("ema", "image_size", "record_version"):
        del values[name]
    run = rewritten(run, values)
    assert (run.config.ema, run.config.image_size) == (0.0, (64, 64))
    assert claim(asked).path == run.path


def test_a_flag_that_does_not_apply_is_not_compared(tmp_path):
    """Runs were once made with idle flags, which are refused today; the same command without them resumes the run."""
    asked = config(tmp_path / "run", "--learning_rate_schedule=thesis")
    run = claim(asked)
    run = rewritten(run, {**written(run), "learning_rate": 0.3, "beta": 3.0})
    assert claim(asked).path == run.path
    with pytest.raises(Refusal, match="expected the flags of that run"):
        claim(config(tmp_path / "run"))
