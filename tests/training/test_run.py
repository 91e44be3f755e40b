"""train(config): the recipes on the embedded scans, resumed after an interruption, and what they leave behind."""

import csv
import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.config import TrainConfig, parse
from robust_tf.models.kernels import kernels
from robust_tf.projections import PROJECTIONS
from robust_tf.projections.irregular import irregular
from robust_tf.refusal import Refusal
from robust_tf.training import callbacks
from robust_tf.training.recipes import RECIPES
from robust_tf.training.run import projection, train

FLAGS = ("--width=0.2", "--steps=1", "--optimizer=adam", "--batch_size=383", "--ratio=0.05")


def config(workdir, *flags):
    return parse(TrainConfig, [f"--workdir={workdir}", *FLAGS, *flags])


def load(workdir):
    return keras.models.load_model(workdir / "model.keras", compile=False, safe_mode=True)


def scalars(folder):
    """Tags of all TensorBoard events below `folder`."""
    events = [event for path in folder.rglob("events*") for event in tf.compat.v1.train.summary_iterator(str(path))]
    return {value.tag for event in events for value in event.summary.value}


def test_recipes_read_like_the_papers():
    stages = {name: recipe(parse(TrainConfig, ["--pretrain_epochs=2", "--epochs=5", "--finetune_epochs=3"]))
              for name, recipe in RECIPES.items()}  # fmt: skip
    assert [(s.name, s.epochs, s.adversarial) for s in stages["normal"]] == [("natural", 5, False)]
    assert [(s.name, s.epochs, s.adversarial) for s in stages["da"]] == [("dense", 5, True)]
    for name, adversarial in (("nap", False), ("ap", True)):
        dense, finetune = stages[name]
        assert (dense.epochs, dense.adversarial, dense.held_by, dense.prune) == (2, adversarial, "", False)
        assert (finetune.epochs, finetune.adversarial, finetune.held_by, finetune.prune) == (
            5,
            adversarial,
            "masks",
            True,
        )
    assert [(s.name, s.epochs, s.held_by) for s in stages["admm"]] == [
        ("dense", 2, ""), ("admm", 5, "admm"), ("finetune", 3, "masks")]  # fmt: skip


@pytest.mark.parametrize("method", RECIPES)
def test_every_method_leaves_a_finished_run(tmp_path, method):
    flags = (f"--method={method}", "--pretrain_epochs=1", "--epochs=2", "--finetune_epochs=1")
    workdir = train(config(tmp_path / "run", *flags))
    summary = json.loads((workdir / "summary.json").read_text())
    net = load(workdir)
    counted = sum(np.count_nonzero(w) for w in kernels(net))
    total = sum(w.shape.num_elements() for w in kernels(net))
    assert summary["kernels_nonzero"] == counted
    assert summary["kernels_total"] == total
    pruned = method in ("nap", "ap", "admm")
    assert counted == (round(0.05 * total) if pruned else total)
    assert sum(row["nonzero"] for row in summary["layers"]) == counted
    with (workdir / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range({"admm": 4, "ap": 3, "nap": 3}.get(method, 2)))
    expected = {"loss", "clean_loss", "adversarial_loss", "accuracy", "robust_accuracy"}
    if method == "admm":
        expected |= {"k", "rho", "nonzero", "churn", "primal_residual", "dual_residual"}
    assert {f"epoch_{name}" for name in expected} <= scalars(workdir / "tensorboard")
    assert summary["clean_accuracy"] == pytest.approx(float(rows[-1]["val_accuracy"]), abs=0.5)


def test_one_shot_ends_with_the_hard_projection(tmp_path):
    workdir = train(config(tmp_path / "run", "--epochs=2"))
    counted = sum(np.count_nonzero(w) for w in kernels(load(workdir)))
    assert counted == json.loads((workdir / "summary.json").read_text())["kernels_nonzero"]
    assert counted == round(0.05 * sum(w.shape.num_elements() for w in kernels(load(workdir))))


@pytest.mark.parametrize("name", PROJECTIONS)
def test_one_shot_with_every_projection(tmp_path, name):
    """What ships lies in the constraint set: projecting it again changes nothing."""
    asked = config(tmp_path / "run", "--epochs=1", f"--projection={name}", "--ratio=0.51", "--bits=3")
    W = kernels(load(train(asked)))
    k = round(0.51 * sum(w.shape.num_elements() for w in W))
    assert sum(np.count_nonzero(w) for w in W) <= k
    for w, z in zip(W, projection(asked)(W, k)):
        np.testing.assert_array_equal(w, z)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--projection=n_of_m", "--ratio=0.4"), "what 2 of 4 leaves; got"),
        (("--ratio=0.01", "--floor=0.02"), "the sum of the layers' floors; got"),
        (("--projection=per_layer", "--ratio=0.0001"), "one for each other layer; got 2"),
    ],
)
def test_constraints_that_no_net_satisfies(tmp_path, flags, message):
    with pytest.raises(Refusal, match=message):
        train(config(tmp_path / "run", *flags))
    assert not (tmp_path / "run").exists()  # the corrected command may have it


def test_one_dense_run_serves_others(tmp_path):
    """AP at a vanishing learning rate is the start's k largest weights."""
    dense = train(config(tmp_path / "dense", "--method=da", "--epochs=1"))
    flags = ("--method=ap", "--epochs=1", f"--init_from={dense}", "--learning_rate=0")
    pruned = kernels(load(train(config(tmp_path / "ap", *flags))))
    W = kernels(load(dense))
    for got, expected in zip(pruned, irregular(W, round(0.05 * sum(w.shape.num_elements() for w in W)))):
        np.testing.assert_array_equal(got, expected)
    with pytest.raises(Refusal, match=r"--init_from=.*: expected --width=0.3; got 0.2"):
        train(config(tmp_path / "other", *flags, "--width=0.3"))
    with pytest.raises(Refusal, match="expected a finished run"):
        train(config(tmp_path / "other", "--method=ap", f"--init_from={tmp_path}"))


class Killed(Exception):
    pass


@pytest.mark.parametrize("last_epoch", [0, 2, 4])
def test_the_same_command_resumes_to_the_same_weights(tmp_path, monkeypatch, last_epoch):
    flags = ("--pretrain_epochs=2", "--epochs=2", "--finetune_epochs=2")
    whole = load(train(config(tmp_path / "whole", *flags)))

    def killed(self, epoch, logs=None):
        if epoch == last_epoch:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(callbacks.Report, "on_epoch_end", killed)
        with pytest.raises(Killed):
            train(config(tmp_path / "run", *flags))
    resumed = load(train(config(tmp_path / "run", *flags)))
    for expected, got in zip(whole.get_weights(), resumed.get_weights()):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_finished_run_is_not_trained_again(tmp_path, monkeypatch):
    workdir = train(config(tmp_path / "run", "--method=da", "--epochs=1"))
    weights = load(workdir).get_weights()
    monkeypatch.setattr(callbacks.Schedule, "on_epoch_begin", lambda *args: pytest.fail("trained again"))
    train(config(tmp_path / "run", "--method=da", "--epochs=1"))
    for expected, got in zip(weights, load(workdir).get_weights()):
        np.testing.assert_array_equal(got, expected)


def test_more_epochs_continue_a_finished_run(tmp_path):
    train(config(tmp_path / "run", "--epochs=1", "--finetune_epochs=1"))
    workdir = train(config(tmp_path / "run", "--epochs=2", "--finetune_epochs=1"))
    with (workdir / "history.csv").open() as file:
        rows = [(int(row["epoch"]), row["stage"]) for row in csv.DictReader(file)]
    assert rows == [(0, "admm"), (1, "admm"), (2, "finetune")]
