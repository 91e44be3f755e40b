"""Run directories: claimed once, resumed by the same configuration, never overwritten by another."""

import dataclasses
import json

import pytest

from robust_tf.config import TrainConfig, parse
from robust_tf.refusal import Refusal
from robust_tf.rundir import claim, claimable, default_workdir, read_config, read_json, subfolder, trained, write_json


def config(workdir, *flags):
    return parse(TrainConfig, [f"--workdir={workdir}", "--epochs=3", *flags])


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_configuration_resumes(tmp_path):
    run = tmp_path / "run"
    assert claim(config(run)) == run
    before = snapshot(run)
    assert claim(config(run)) == run
    assert snapshot(run) == before


def test_data_may_have_moved(tmp_path):
    claim(config(tmp_path / "run", "--data_dir=/old"))
    claim(config(tmp_path / "run", "--data_dir=/new"))
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data_dir"] == "/new"


def test_more_epochs_continue(tmp_path):
    claim(config(tmp_path / "run"))
    claim(config(tmp_path / "run", "--epochs=5"))
    assert json.loads((tmp_path / "run" / "config.json").read_text())["epochs"] == 5


@pytest.mark.parametrize(
    ("flag", "message"),
    [("--eps=0.01", "expected --eps=0.1; got 0.01"), ("--epochs=2", "expected --epochs >= 3, as trained; got 2")],
)
def test_another_configuration_is_refused_and_changes_nothing(tmp_path, flag, message):
    run = tmp_path / "run"
    claim(config(run))
    write_json(run / "summary.json", {"epochs": 3})
    before = snapshot(run)
    with pytest.raises(Refusal, match=message):
        claim(config(run, flag))
    assert snapshot(run) == before


def test_asking_changes_nothing(tmp_path):
    assert claimable(config(tmp_path / "run")) == tmp_path / "run"
    assert not list(tmp_path.iterdir())


def test_epochs_that_were_only_asked_for_may_be_taken_back(tmp_path):
    claim(config(tmp_path / "run", "--epochs=500"))
    assert claim(config(tmp_path / "run", "--epochs=5")) == tmp_path / "run"


def test_foreign_files_are_refused_and_kept(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(Refusal, match="foreign files"):
        claim(config(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ('{"dataset": "dig', "readable JSON"),
        ("null", "expected a JSON object"),
        ("{}", "got one without dataset"),
        ('{"dataset": "nope"}', "got one without data_dir"),
        ("[]", "expected a JSON object"),
    ],
)
def test_a_damaged_config_is_refused_and_kept(tmp_path, damaged, message):
    run = tmp_path / "run"
    claim(config(run))
    (run / "config.json").write_text(damaged)
    (run / "model.keras").write_bytes(b"")
    for ask in (lambda: claim(config(run)), lambda: trained(run)):
        with pytest.raises(Refusal, match=message):
            ask()
    assert (run / "config.json").read_text() == damaged


def test_a_data_set_that_is_not_known(tmp_path):
    run = claim(config(tmp_path / "run"))
    record = read_json(run / "config.json")
    write_json(run / "config.json", {**record, "dataset": "nope"})
    with pytest.raises(Refusal, match=r"dataset: expected one of digits, mnist, .*folder; got 'nope'"):
        claim(config(run))


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "evaluation").write_text("mine")
    with pytest.raises(Refusal, match="expected a writable folder"):
        subfolder(tmp_path, "evaluation")


def test_default_name_follows_the_configuration():
    first, again, other = parse(TrainConfig, []), parse(TrainConfig, ["--epochs=99"]), parse(TrainConfig, ["--seed=1"])
    assert default_workdir(first) == default_workdir(again) != default_workdir(other)
    assert default_workdir(first).name.startswith("digits-lenet-admm-")
    assert dataclasses.replace(first, workdir="x") != first


def test_an_unfinished_run_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"expected a finished run of bin/train \(model.keras\)"):
        trained(tmp_path)


def test_json_is_written_whole(tmp_path):
    write_json(tmp_path / "a" / "b.json", {"x": 1})
    assert read_json(tmp_path / "a" / "b.json") == {"x": 1}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]


def test_a_run_that_is_older_than_a_flag_has_its_default(tmp_path):
    run = claim(config(tmp_path / "run"))
    record = read_json(run / "config.json")
    del record["ema"], record["image_size"]
    write_json(run / "config.json", record)
    assert read_config(run) == {**record, "ema": 0.0, "image_size": [64, 64]}
    assert claim(config(run)) == run
