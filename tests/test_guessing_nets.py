"""A net that is no better than a guess says so after training, on top of an evaluation and in the report."""

import pytest

from robust_tf.commands import evaluate, train
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.flags.declare import parse
from robust_tf.records.history import read_history
from robust_tf.report.overview import guesses
from robust_tf.report.runs import read_run
from robust_tf.training.config import TrainConfig

NET = ("--dataset=digits", "--width=0.2", "--optimizer=adam", "--epochs=1", "--batch_size=383", "--steps=1")


def trained(folder, *flags):
    train.work(parse(TrainConfig, [f"--workdir={folder}", *NET, *flags]))


def test_a_net_that_learned_nothing(tmp_path, capsys):
    trained(tmp_path / "run", "--method=da", "--learning_rate=0")
    assert "warning: the net " in capsys.readouterr().out.splitlines()[-2]
    evaluate.work(parse(EvaluateConfig, [f"--workdir={tmp_path / 'run'}", "--attacks=fgsm", "--eps=0.1"]))
    assert capsys.readouterr().out.startswith("warning: the net ")
    figure = guesses([read_run("run", tmp_path / "run")])
    assert [row[1] for row in figure.rows] == ["training", "attacks-linf-fgsm-eps0.1-seed0-n360"]
    assert all(row[2].startswith("the net ") for row in figure.rows)


def test_a_net_that_learned_and_the_parts_of_its_loss(tmp_path, capsys):
    """The penalty is a part of ADMM's loss alone."""
    trained(tmp_path / "run", "--method=admm", "--ratio=0.5", "--epochs=4", "--pretrain_epochs=4")
    printed = capsys.readouterr().out
    assert "warning" not in printed
    epochs = [line for line in printed.splitlines() if " epoch " in line]
    assert all("(clean " in line and ", adversarial " in line for line in epochs)
    assert ["penalty" in line for line in epochs] == [False] * 4 + [True] * 4
    assert guesses([read_run("run", tmp_path / "run")]) == []
    for row in read_history(tmp_path / "run" / "history.csv"):
        mixed = 0.9 * row.adversarial_loss + 0.1 * row.clean_loss + row.penalty
        assert row.loss == pytest.approx(mixed, rel=1e-4)
