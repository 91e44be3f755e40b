"""train(config): the recipes on the embedded scans, resumed after an interruption, and what they leave behind."""

import csv
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.certification.certified import certified
from robust_tf.commands import train as command
from robust_tf.compression import atmc
from robust_tf.data import DATASETS
from robust_tf.data.pipeline import split_validation
from robust_tf.flags.declare import parse
from robust_tf.flags.text import flagfile
from robust_tf.models.kernels import kernels
from robust_tf.models.load import load_net
from robust_tf.projections import PROJECTIONS
from robust_tf.projections.irregular import irregular
from robust_tf.records.history import read_history
from robust_tf.refusal import Refusal
from robust_tf.training import run
from robust_tf.training.callbacks.checkpoints import Checkpoints
from robust_tf.training.callbacks.progress import EpochReport
from robust_tf.training.callbacks.schedule import Schedule
from robust_tf.training.callbacks.stopping import Stopped
from robust_tf.training.config import TrainConfig
from robust_tf.training.methods import METHODS
from robust_tf.training.projection import projection
from robust_tf.training.rundir import RunDirectory

FLAGS = ("--width=0.2", "--optimizer=adam", "--batch_size=383")


def config(workdir, *flags):
    """A small run; attacks take one step, pruning methods keep 5 %."""
    given = {flag.partition("=")[0] for flag in flags}
    methods = [METHODS[flag.partition("=")[2]] for flag in flags if flag.startswith("--method=")] or [METHODS["admm"]]
    steps = ["--steps=1"] if "loss" in methods[-1].options else []
    ratio = ["--ratio=0.05"] if methods[-1].compresses and "--ratio" not in given else []
    return parse(TrainConfig, [f"--workdir={workdir}", *FLAGS, *steps, *ratio, *flags])


def train(asked):
    """The folder of the run."""
    return run.train(asked).path


def history(workdir):
    return RunDirectory(workdir).history()


def load(workdir):
    return keras.models.load_model(workdir / "model.keras", compile=False, safe_mode=True)


def scalars(folder):
    """Tags of all TensorBoard events below `folder`."""
    events = [event for path in folder.rglob("events*") for event in tf.compat.v1.train.summary_iterator(str(path))]
    return {value.tag for event in events for value in event.summary.value}


def test_recipes_read_like_the_papers():
    flags = {"pretrain_epochs": "2", "epochs": "5", "finetune_epochs": "3", "l0_epochs": "1", "score_epochs": "4"}

    def stages(method, *more):
        asked = [f"--{name}={value}" for name, value in flags.items()]
        known = [flag for flag in asked if accepts(method, flag, *more)]
        return [
            (s.name, s.epochs, s.adversarial, s.prepare, s.constraint, s.k_falls)
            for s in METHODS[method].stages(parse(TrainConfig, [f"--method={method}", *known, *more]))
            if s.epochs
        ]

    assert stages("natural") == [("natural", 5, False, "", "", False)]
    assert stages("da") == [("dense", 5, True, "", "", False)]
    assert stages("nap") == [("natural", 2, False, "", "", False), ("finetune", 5, False, "prune", "masks", False)]
    assert stages("ap") == [("dense", 2, True, "", "", False), ("finetune", 5, True, "prune", "masks", False)]
    assert stages("alr") == [("dense", 2, True, "", "", False), ("finetune", 5, True, "low_rank", "", False)]
    thresholded = [("dense", 2, True, "", "", False), ("l0", 5, True, "", "projected", True)]
    assert stages("l0") == [*thresholded, ("finetune", 3, True, "", "masks", False)]
    scores, kept = ("scores", 4, True, "score", "scores", False), ("finetune", 5, True, "keep_scored", "masks", False)
    assert stages("hydra") == [("dense", 2, True, "", "", False), scores, kept]
    start, main = ("dense", 2, True, "", "", False), ("admm", 5, True, "", "admm", True)
    assert stages("admm") == [start, main, ("finetune", 3, True, "", "masks", False)]
    assert stages("admm", "--projection=codebook") == [start, main, ("finetune", 3, True, "", "centroids", False)]
    assert stages("admm", "--projection=low_rank") == [start, main, ("finetune", 3, True, "low_rank", "", False)]
    staged = [start, ("l0", 1, True, "", "projected", True), ("atmc", 5, True, "factorise", "projected", False)]
    assert stages("atmc") == staged
    assert stages("atmc", "--codebook_epochs=4") == [*staged, ("codebook", 4, True, "cluster", "centroids", False)]
    published = [*staged, ("codebook", 4, True, "", "codebook", False)]
    assert stages("atmc", "--codebook_epochs=4", "--codebook_stage=admm") == published
    assert stages("atmc", "--one_shot") == [start, ("atmc", 5, True, "factorise", "projected", True)]
    penalised = ("atmc", 5, True, "factorise", "factors", True)
    end = ("finetune", 3, True, "", "projected", False)
    assert stages("atmc", "--one_shot", "--factor_constraint=admm") == [start, penalised, end]


def accepts(method, *flags):
    try:
        return parse(TrainConfig, [f"--method={method}", *flags])
    except Refusal:
        return False


@pytest.mark.parametrize("method", [method for method in METHODS if method != "none"])
def test_every_method_leaves_a_finished_run(tmp_path, method):
    flags = [f"--method={method}", "--epochs=2"]
    flags += ["--pretrain_epochs=1"] if METHODS[method].compresses else []
    flags += {"admm": ["--finetune_epochs=1"], "hydra": ["--score_epochs=1"]}.get(method, [])
    workdir = train(config(tmp_path / "run", *flags))
    summary = json.loads((workdir / "summary.json").read_text())
    net = load(workdir)
    counted = sum(np.count_nonzero(w) for w in kernels(net))
    total = {"alr": summary["kernels_total"]}.get(method, sum(w.shape.num_elements() for w in kernels(net)))
    assert summary["kernels_nonzero"] == counted
    assert summary["kernels_total"] == total
    assert not any(np.signbit(w.numpy()[w == 0]).any() for w in kernels(net))
    budget = round(0.05 * total)
    if method in ("nap", "ap", "l0", "hydra", "admm"):
        assert counted == budget
    elif method == "alr":
        assert (
            0.8 * budget < counted <= budget
        )  # the last singular value that would not fit is a layer's rows and columns
    elif method == "atmc":
        assert summary["factors"]["nonzero"] == budget
        assert summary["factors"]["nonzero_literal"] >= budget
    else:
        assert counted == total
    assert sum(row["nonzero"] for row in summary["layers"]) == counted
    for row, w in zip(summary["layers"], kernels(net)):
        matrix = np.reshape(w, (-1, w.shape[-1]))
        assert row["kept"] == np.count_nonzero(w) / matrix.size
        assert row["rank"] == np.linalg.matrix_rank(matrix)
        assert row["dead_filters"] == sum(not column.any() for column in matrix.T)
    with (workdir / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    epochs = {"natural": 2, "da": 2, "hydra": 4, "admm": 4, "atmc": 4}.get(method, 3)
    assert [int(row["epoch"]) for row in rows] == list(range(epochs))
    assert summary["epochs_trained"] == epochs
    expected = {"loss", "clean_loss", "adversarial_loss", "accuracy", "robust_accuracy"}
    if method == "admm":
        expected |= {"k", "rho", "nonzero", "churn", "primal_residual", "dual_residual"}
    assert {f"epoch_{name}" for name in expected} <= scalars(workdir / "tensorboard")
    # What ships is the net of one of the last stage's epochs.
    measured = [float(row["val_accuracy"]) for row in rows if row["stage"] == rows[-1]["stage"]]
    assert min(abs(summary["clean_accuracy"] - value) for value in measured) < 1e-6


BOUNDED = {
    "da": (), "ap": ("--ratio=0.2", "--pretrain_epochs=3"), "l0": ("--ratio=0.2",),
    "hydra": ("--ratio=0.2", "--pretrain_epochs=3", "--score_epochs=2"),
    "admm": ("--ratio=0.2", "--finetune_epochs=2", "--admm_interval=4"), "atmc": ("--ratio=0.2",),
}  # fmt: skip


@pytest.mark.parametrize("method", ["da", *(pytest.param(m, marks=pytest.mark.slow) for m in BOUNDED if m != "da")])
def test_a_net_trained_on_interval_bounds_says_what_is_certified(tmp_path, method):
    """The summary's figure is of the very net that ships, on the images that were held out."""
    flags = [f"--method={method}", *BOUNDED[method], "--loss=ibp", "--eps=0.02", "--epochs=6", "--learning_rate=0.005"]
    asked = parse(TrainConfig, [f"--workdir={tmp_path / 'run'}", *FLAGS, *flags])
    workdir = train(asked)
    summary, rows = RunDirectory(workdir).summary(), history(workdir)
    held_out = split_validation(*DATASETS["digits"].load("train"), asked.seed)[1]
    proven = certified(load(workdir), *held_out, asked.eps, "linf")
    assert summary.certified_accuracy == proven.mean() > 0
    last = [row for row in rows if row.stage == rows[-1].stage]
    best = max(row.val_certified_accuracy for row in (last[3:] if method in ("da", "l0") else last))
    assert summary.certified_accuracy == pytest.approx(best, abs=0.01)  # ATMC's factors are multiplied out


@pytest.mark.parametrize("stage", ["centroids", pytest.param("admm", marks=pytest.mark.slow)])
def test_eight_bits_of_atmc_are_few_values_within_the_budget(tmp_path, stage):
    """In 2 bits here: every factor has at most 4 values, zero among them, and all together k non-zeros."""
    flags = ["--method=atmc", "--epochs=1", "--codebook_epochs=2", "--bits=2", f"--codebook_stage={stage}"]
    run = RunDirectory(train(config(tmp_path / "run", *flags)))
    found = atmc.factors(load_net(run.factorised_path))
    assert all(len(np.unique(factor)) <= 4 for factor in found)
    k = sum(np.count_nonzero(factor) for factor in found)
    assert 0 < k <= round(0.05 * run.summary().kernels_total)
    assert k == run.summary().factors.nonzero
    rho = [row.rho for row in run.history() if row.stage == "codebook"]
    assert rho[-1] == (pytest.approx(0.1) if stage == "admm" else None)


def test_one_shot_ends_with_the_hard_projection(tmp_path):
    workdir = train(config(tmp_path / "run", "--epochs=2"))
    counted = sum(np.count_nonzero(w) for w in kernels(load(workdir)))
    assert counted == json.loads((workdir / "summary.json").read_text())["kernels_nonzero"]
    assert counted == round(0.05 * sum(w.shape.num_elements() for w in kernels(load(workdir))))


@pytest.mark.parametrize("name", PROJECTIONS)
def test_one_shot_with_every_projection(tmp_path, name):
    """What ships lies in the constraint set: no more than k weights, and projecting it again changes nothing."""
    bits = ["--bits=3"] if name == "codebook" else []
    asked = config(tmp_path / "run", "--epochs=1", f"--projection={name}", "--ratio=0.51", *bits)
    workdir = train(asked)
    net = load(workdir)
    W = kernels(net)
    k = round(0.51 * json.loads((workdir / "summary.json").read_text())["kernels_total"])
    assert sum(np.count_nonzero(w) for w in W) <= k
    if name == "low_rank":  # its layers are thin by now
        return
    for w, z in zip(W, projection(asked, net)(W, k)):
        np.testing.assert_array_equal(w, z)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--projection=n_of_m", "--ratio=0.4"), "the weights that 2 of 4 may keep; got"),
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


def test_a_teacher_is_a_run_of_the_same_images_and_classes(tmp_path):
    """And changes what is learned; its run does not change."""
    teacher = train(config(tmp_path / "teacher", "--method=da", "--width=0.4", "--epochs=2"))
    files = {path: path.stat().st_mtime_ns for path in teacher.rglob("*")}
    plain, taught = (
        load(train(config(tmp_path / name, "--method=da", "--epochs=2", *flags)))
        for name, flags in (("plain", []), ("taught", [f"--teacher={teacher}"]))
    )
    assert any((a != b).any() for a, b in zip(plain.get_weights(), taught.get_weights()))
    assert {path: path.stat().st_mtime_ns for path in teacher.rglob("*")} == files
    for wrong, message in (
        (tmp_path / "none", "expected a finished run of bin/train (model.keras); got none"),
        (other_classes(tmp_path / "other", teacher), "expected the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; got a, b"),
        (other_size(tmp_path / "small", teacher), "expected images of shape (28, 28, 1); got (8, 8, 1)"),
    ):
        with pytest.raises(Refusal, match=f"^--teacher={re.escape(f'{wrong}: {message}')}"):
            train(config(tmp_path / "new", "--method=da", f"--teacher={wrong}"))
    assert not (tmp_path / "new").exists()


def other_classes(folder, run):
    shutil.copytree(run, folder)
    (folder / "classes.json").write_text('["a", "b"]')
    return folder


def other_size(folder, run):
    shutil.copytree(run, folder)
    layers = keras.layers
    keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)]).save(folder / "model.keras")
    return folder


class Killed(Exception):
    pass


@pytest.fixture
def trained_epochs(monkeypatch):
    """The epochs that are trained, as they begin."""
    begun, begin = [], Schedule.on_epoch_begin

    def watched(self, epoch, logs=None):
        begun.append(epoch)
        begin(self, epoch, logs)

    monkeypatch.setattr(Schedule, "on_epoch_begin", watched)
    return begun


# The stages of each method, six epochs in all, with what else a checkpoint must hold.
RESUMED = {
    "admm": ("--pretrain_epochs=2", "--epochs=2", "--finetune_epochs=2"),
    "adaptive": ("--epochs=6", "--adaptive=k", "--tolerance=0", "--admm_interval=1", "--ema=0.5"),
    "atmc": ("--method=atmc", "--l0_epochs=2", "--epochs=3", "--codebook_epochs=1", "--bits=3", "--ema=0.5"),
    "one_shot": ("--method=atmc", "--one_shot", "--epochs=6", "--thin_layers", "--loss=trades", "--project_every=2"),
    "factors": (
        "--method=atmc",
        "--one_shot",
        "--epochs=4",
        "--finetune_epochs=2",
        "--factor_constraint=admm",
        "--factor_start=svd",
        "--normalise_layers",
        "--admm_interval=1",
    ),
    "alr": ("--method=alr", "--pretrain_epochs=2", "--epochs=4", "--starts=uniform,stripes,blocks", "--clip_norm=1"),
    "codebook": ("--epochs=4", "--finetune_epochs=2", "--projection=codebook", "--bits=3", "--label_smoothing=0.1"),
    "hydra": ("--method=hydra", "--pretrain_epochs=1", "--score_epochs=3", "--epochs=2"),
}


KILLED_AT = {
    "admm": (1, 3, 4, 5), "adaptive": (3,), "atmc": (2, 5), "one_shot": (2,), "factors": (3,), "alr": (3,),
    "codebook": (4,), "hydra": (2, 4),
}  # fmt: skip
QUICK_KILLS = (("atmc", 5),)


@pytest.mark.parametrize(
    ("method", "last_epoch"),
    [
        pytest.param(name, epoch, marks=[] if (name, epoch) in QUICK_KILLS else [pytest.mark.slow])
        for name in RESUMED
        for epoch in KILLED_AT[name]
    ],
)
def test_the_same_command_resumes_to_the_same_weights(
    tmp_path, monkeypatch, uninterrupted, trained_epochs, method, last_epoch
):
    """Killed at the end of an epoch, before its checkpoint: that epoch is trained again, and none before it."""

    def killed(self, epoch, logs=None):
        if epoch == last_epoch:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(EpochReport, "on_epoch_end", killed)
        with pytest.raises(Killed):
            train(config(tmp_path / "run", *RESUMED[method]))
    trained_epochs.clear()
    resumed = load(train(config(tmp_path / "run", *RESUMED[method])))
    assert trained_epochs == list(range(last_epoch, 6))
    for expected, got in zip(uninterrupted(method).get_weights(), resumed.get_weights()):
        np.testing.assert_allclose(got, expected, atol=1e-5)
    history = read_history(tmp_path / "run" / "history.csv")
    assert [row.support_churn is None for row in history] == without_churn(method)


def without_churn(method):
    """Whether an epoch's support has none before it: in the first epoch of a stage, and without a constraint."""
    found = []
    for stage in METHODS[config("RUN", *RESUMED[method]).method].stages(config("RUN", *RESUMED[method])):
        found += [True, *[not stage.constraint] * (stage.epochs - 1)] if stage.epochs else []
    return found


SLOW_STOPS = [
    pytest.param(method, step, marks=pytest.mark.slow) for method, step in (("atmc", 10), ("atmc", 12), ("admm", 17))
]


@pytest.mark.parametrize(("method", "step"), [("adaptive", 8), *SLOW_STOPS])
def test_a_run_that_is_asked_to_stop_saves_and_goes_on(
    tmp_path, monkeypatch, uninterrupted, trained_epochs, method, step
):
    """SIGTERM at a step of the run, of three an epoch: the rest of that epoch is trained, and no step twice."""
    taken = []

    def signalled(self, batch, logs=None):
        taken.append(batch)
        if len(taken) == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(EpochReport, "on_train_batch_end", signalled)
    before = signal.getsignal(signal.SIGTERM)
    when = f"after epoch {step // 3}" if step % 3 == 0 else f"after step {step % 3} of 3 of epoch {step // 3 + 1}"
    with pytest.raises(Stopped, match=f"saved a checkpoint {when} .*; the same command resumes training"):
        train(config(tmp_path / "run", *RESUMED[method]))
    assert len(taken) == step
    assert signal.getsignal(signal.SIGTERM) is before
    trained_epochs.clear()
    resumed = load(train(config(tmp_path / "run", *RESUMED[method])))
    assert trained_epochs == list(range(step // 3, 6))
    assert len(taken) == 18
    for expected, got in zip(uninterrupted(method).get_weights(), resumed.get_weights()):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_command_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def signalled(self, batch, logs=None):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(EpochReport, "on_train_batch_end", signalled)
    command.work(config(tmp_path / "run", "--method=da", "--epochs=2"))
    assert "asked to stop; saved a checkpoint after step 1 of 3 of epoch 1" in capsys.readouterr().out


def test_a_second_process_is_refused(tmp_path):
    """While the first holds the lock; it is free again when that has gone."""
    holds = "import sys, time; from robust_tf.training.rundir import RunDirectory\n"
    holds += "with RunDirectory(sys.argv[1]).locked(): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holds, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Refusal, match="expected an exclusive lock on it; got a lock of another process"):
            train(config(tmp_path, "--method=da", "--epochs=1"))
        process.kill()
    assert train(config(tmp_path, "--method=da", "--epochs=1")) == tmp_path


def test_a_full_disk_is_one_line(tmp_path):
    """Files of at most 100 kB, as a disk that fills up: what was there stays, and no half file is left."""
    flags = [f"--workdir={tmp_path}/run", *FLAGS, "--method=da", "--epochs=1", "--width=1"]
    program = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"sys.argv = ['train', *{flags!r}]\n"
        "from robust_tf.commands.train import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("train: ")
    assert not list((tmp_path / "run").rglob("partial-*"))
    assert not list((tmp_path / "run").glob("model.keras"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The net of a method's whole run, trained once."""
    return functools.cache(
        lambda method: load(train(config(tmp_path_factory.mktemp(method) / "run", *RESUMED[method])))
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", RESUMED)
def test_a_killed_process_resumes_to_the_same_weights(tmp_path, uninterrupted, method):
    """kill -9 at moments that fall anywhere: in the first epochs, in a checkpoint, between stages, in the export."""
    flags = flagfile(config(tmp_path / "run", *RESUMED[method]))
    command = [sys.executable, "-m", "robust_tf.commands.train", *flags]
    kills = 0
    for seconds in (9, 10, 12, 14, 17, 21):
        try:
            subprocess.run(command, capture_output=True, timeout=seconds)  # kills with SIGKILL
            break
        except subprocess.TimeoutExpired:
            kills += 1
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert kills > 0
    for expected, got in zip(uninterrupted(method).get_weights(), load(tmp_path / "run").get_weights()):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_half_written_checkpoint_is_never_used(tmp_path, monkeypatch, uninterrupted):
    """Killed while the second checkpoint is written: what lies there is no part of the resumed run."""
    write = tf.train.Checkpoint._write

    def killed(self, path, options=None):
        if not path.endswith("ckpt-2"):
            return write(self, path, options)
        write(self, path)  # without the manager's note that it is there
        for part in Path(path).parent.glob("ckpt-2*"):
            part.write_bytes(part.read_bytes()[:100])
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(tf.train.Checkpoint, "_write", killed)
        with pytest.raises(Killed):
            train(config(tmp_path / "run", *RESUMED["adaptive"]))
    assert list((tmp_path / "run").rglob("ckpt-2*"))
    resumed = load(train(config(tmp_path / "run", *RESUMED["adaptive"])))
    for expected, got in zip(uninterrupted("adaptive").get_weights(), resumed.get_weights()):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path, monkeypatch):
    """Stage files moved over from a run that holds other variables."""

    def killed(self, epoch, logs=None):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(
            Checkpoints,
            "on_epoch_end",
            lambda self, epoch, logs=None: (self.manager.save(), killed(self, epoch)),
        )
        with pytest.raises(Killed):
            train(config(tmp_path / "theirs", "--method=da", "--epochs=2"))
        with pytest.raises(Killed):
            train(config(tmp_path / "ours", "--method=da", "--epochs=2", "--ema=0.5"))
    shutil.rmtree(tmp_path / "ours" / "checkpoints")
    shutil.copytree(tmp_path / "theirs" / "checkpoints", tmp_path / "ours" / "checkpoints")
    with pytest.raises(Refusal, match="expected a readable checkpoint in"):
        train(config(tmp_path / "ours", "--method=da", "--epochs=2", "--ema=0.5"))


def test_a_damaged_checkpoint_is_refused(tmp_path):
    workdir = train(config(tmp_path / "run", "--method=da", "--epochs=1"))
    (final,) = workdir.rglob("final-1.weights.h5")
    whole = final.read_bytes()
    final.write_bytes(whole[:3000])
    with pytest.raises(Refusal, match="expected a readable checkpoint in"):
        train(config(tmp_path / "run", "--method=da", "--epochs=1"))
    final.unlink()
    train(config(tmp_path / "run", "--method=da", "--epochs=1"))
    assert final.read_bytes()[:100] == whole[:100]


def test_admm_ships_its_projection_even_without_its_best_checkpoint(tmp_path):
    workdir = train(config(tmp_path / "run", "--epochs=1"))
    for path in [*workdir.rglob("best.weights.h5"), *workdir.rglob("final-*")]:
        path.unlink()
    W = kernels(load(train(config(tmp_path / "run", "--epochs=1"))))
    assert sum(np.count_nonzero(w) for w in W) == round(0.05 * sum(w.shape.num_elements() for w in W))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--batch_size=2000",), "--batch_size: expected at most the 1150 training images; got 2000"),
        (("--admm_interval=99", "--epochs=20"), "--admm_interval: expected at most the stage's 60 steps; got 99"),
        (
            ("--method=l0", "--project_every=99", "--epochs=20"),
            "--project_every: expected at most the stage's 60 steps; got 99",
        ),
        (
            ("--eps_schedule=0:0.1,20:0.2", "--epochs=20"),
            "--eps_schedule: expected its last epoch to be below 20; got 20",
        ),
        (
            (
                "--ratio=0.05",
                "--ratio_schedule=0:1,50:0.05",
                "--epochs=20",
            ),
            "--ratio_schedule: expected its last epoch to be below 20; got 50",
        ),
        (("--ratio=1e-9",), "expected k >= 1; got 0"),
    ],
)
def test_what_only_the_data_can_tell_to_be_impossible(tmp_path, flags, message):
    with pytest.raises(Refusal, match=message):
        train(config(tmp_path / "run", *flags))
    assert not (tmp_path / "run").exists()  # the corrected command may have it


def test_a_finished_run_is_not_trained_again(tmp_path, monkeypatch):
    workdir = train(config(tmp_path / "run", "--method=da", "--epochs=1"))
    weights, whole = load(workdir).get_weights(), (workdir / "model.keras").read_bytes()
    monkeypatch.setattr(Schedule, "on_epoch_begin", lambda *args: pytest.fail("trained again"))
    train(config(tmp_path / "run", "--method=da", "--epochs=1"))
    for expected, got in zip(weights, load(workdir).get_weights()):
        np.testing.assert_array_equal(got, expected)
    assert (workdir / "model.keras").read_bytes() == whole  # what evaluations of it say they are of


def test_more_epochs_continue_a_finished_run(tmp_path, trained_epochs):
    train(config(tmp_path / "run", "--epochs=1", "--finetune_epochs=1"))
    trained_epochs.clear()
    workdir = train(config(tmp_path / "run", "--epochs=2", "--finetune_epochs=1"))
    assert trained_epochs == [1, 2]
    with (workdir / "history.csv").open() as file:
        stages = [(int(row["epoch"]), row["stage"]) for row in csv.DictReader(file)]
    assert stages == [(0, "admm"), (1, "admm"), (2, "finetune")]


def test_a_continued_run_goes_on_from_where_admm_had_come_to(tmp_path):
    """Its schedules are slower than before, but rho does not fall back, nor does k rise."""
    flags = ("--admm_interval=1", "--rho_max=0.5")
    train(config(tmp_path / "run", "--epochs=2", *flags))
    workdir = train(config(tmp_path / "run", "--epochs=4", *flags))
    rows = history(workdir)
    assert [row.rho for row in rows] == pytest.approx([0.02236, 0.5, 0.5, 0.5], rel=1e-3)
    k = [row.k for row in rows]
    assert k == sorted(k, reverse=True)
    assert k[1] == k[-1]


def test_a_missing_data_set_is_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys):
    def offline(*args):
        raise OSError("no such host")

    monkeypatch.setattr("socket.getaddrinfo", offline)
    monkeypatch.setattr("robust_tf.data.tfds_arrays.getproxies", dict)
    monkeypatch.setattr(
        "sys.argv", ["train", "--dataset=mnist", f"--data_dir={tmp_path}/none", f"--workdir={tmp_path}/r"]
    )
    with pytest.raises(SystemExit) as stopped:
        command.main()
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train: --data_dir: expected the data set mnist in")
    assert not (tmp_path / "r").exists()


def test_training_goes_on_while_it_improves(tmp_path, trained_epochs):
    """Three epochs that learn and one that cannot, where one was asked for."""
    flags = ("--method=da", "--epochs=1", "--extend_while_improving", "--eps_schedule=0:0.1")
    flags += ("--learning_rate_schedule=0:0.001,3:0",)
    workdir = train(config(tmp_path / "run", *flags))
    assert trained_epochs == [0, 1, 2, 3]
    assert json.loads((workdir / "summary.json").read_text())["epochs_trained"] == 4
    (final,) = workdir.rglob("final-1.weights.h5")
    final.unlink()
    trained_epochs.clear()
    train(config(tmp_path / "run", *flags))
    assert trained_epochs == [3]  # killed before it was over, the stage ends with the same epoch


@pytest.mark.parametrize(("tolerance", "arrives"), [("1e6", True), ("0", False)])
def test_an_adaptive_run_ships_what_it_came_to(tmp_path, tolerance, arrives):
    """Where every deterioration is allowed k arrives; where none is, and the learning rate is large, it does not."""
    flags = ("--epochs=6", "--adaptive=k", f"--tolerance={tolerance}", "--learning_rate=0.01", "--admm_interval=1")
    workdir = train(config(tmp_path / "run", *flags))
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["ratio_asked"] == 0.05
    assert (summary["ratio"] == pytest.approx(0.05, rel=1e-3)) == arrives
    assert summary["kernels_nonzero"] == history(workdir)[-1].k
