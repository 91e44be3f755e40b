"""Several workers take the steps of one device: whole trainings compared, in two processes on this machine."""

import csv
import json
import os
import re
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.flags.declare import parse
from robust_tf.models.load import load_net
from robust_tf.refusal import Refusal
from robust_tf.training import workers
from robust_tf.training.config import TrainConfig
from robust_tf.training.failure import TrainingFailed
from robust_tf.training.run import train

# Two steps an epoch, and an attack without signs: those and the projection's choice of weights magnify rounding.
FLAGS = (
    "--dataset=digits",
    "--steps=2",
    "--optimizer=sgd",
    "--batch_size=574",
    "--norm=l2",
    "--eps=1",
    "--eps_schedule=0:1",
    "--augment=crop",
)
RUNS = {
    "admm": ("--width=0.2", "--ratio=0.3", "--epochs=2", "--admm_interval=1"),
    "atmc": ("--width=0.2", "--ratio=0.3", "--method=atmc", "--l0_epochs=1", "--epochs=1"),
    "batch norm": ("--model=resnet8", "--width=0.5", "--method=da", "--epochs=2", "--ema=0.5", "--clip_norm=1"),
}
# A worker, to which something may happen in the middle of the second epoch: its power fails, or it is asked to stop.
WORKER = """
import os, signal, sys
from robust_tf.commands import train
from robust_tf.training.callbacks.progress import EpochReport

happens, sys.argv = sys.argv[1], sys.argv[1:]
advance, taken = EpochReport.on_train_batch_end, []
def counted(self, batch, logs=None):
    advance(self, batch, logs)
    taken.append(batch)
    if happens == "fails" and len(taken) == 3:
        os._exit(9)
    if happens == "asked" and len(taken) == 3:
        os.kill(os.getpid(), signal.SIGTERM)
EpochReport.on_train_batch_end = counted
train.main()
"""


def together(flags, happens=("nothing", "nothing"), more=((), ())):
    """[(exit code, last line)] of two workers: what happens to each, and flags of its own."""
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = ["{}:{}".format(*port.getsockname()) for port in ports]
    for port in ports:
        port.close()
    started = []
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        command = [sys.executable, "-c", WORKER, happens[index], *flags, *more[index]]
        environment = {**os.environ, "TF_CONFIG": json.dumps(task)}
        started.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
    ended = []
    for process in started:
        said, _ = process.communicate(timeout=300)
        ended.append((process.returncode, [line for line in said.splitlines() if line.strip()][-1]))
    return ended


@pytest.mark.slow
def test_workers_with_other_flags_are_refused(tmp_path):
    """On both, and nothing is claimed."""
    flags = [f"--workdir={tmp_path}/run", "--distribution=multiworker", *FLAGS, *RUNS["admm"]]
    said = "expected the same flags, images and initial weights on all workers; got different ones"
    ended = together(flags, more=((), ["--seed=1"]))
    assert ended == [(2, f"train: --distribution=multiworker: {said}")] * 2
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_one_that_is_asked_to_stop_stops_all(tmp_path):
    flags = [f"--workdir={tmp_path}/run", "--distribution=multiworker", *FLAGS, *RUNS["admm"]]
    said = (
        "asked to stop; saved a checkpoint after step 1 of 2 of epoch 2 (stage admm); the same command resumes training"
    )
    assert together(flags, ("nothing", "asked")) == [(0, f"train: {said}")] * 2
    assert [code for code, _ in together(flags)] == [0, 0]
    assert len(epochs(tmp_path / "run")) == 2


def epochs(workdir):
    with (workdir / "history.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_two_workers_one_of_which_fails_take_the_steps_of_one_device(tmp_path, name):
    """To rounding, after the same command has gone on where the failure broke it off."""
    flags = [*FLAGS, *RUNS[name]]
    theirs = [f"--workdir={tmp_path}/two", "--distribution=multiworker", *flags]
    (code, line), (lost, _) = together(theirs, ("nothing", "fails"))
    assert (code, lost) == (1, 9)
    assert re.fullmatch(r"train: another worker is lost \(.+\); the same command on all workers resumes .+", line)
    assert len(epochs(tmp_path / "two")) == 1
    assert together(theirs) == [(0, f"trained: {tmp_path}/two"), (0, "trained: the first worker has the run directory")]

    same_training(tmp_path, flags, exact_support=name != "batch norm")


@pytest.mark.slow
def test_two_workers_take_the_steps_of_one_device(tmp_path):
    flags = [*FLAGS, "--width=0.2", "--ratio=0.3", "--method=ap", "--pretrain_epochs=0", "--epochs=1"]
    ended = together([f"--workdir={tmp_path}/two", "--distribution=multiworker", *flags])
    assert ended == [(0, f"trained: {tmp_path}/two"), (0, "trained: the first worker has the run directory")]
    same_training(tmp_path, flags)


def same_training(tmp_path, flags, exact_support=True):
    """The run of one device ends in the weights and figures of the workers' run in tmp_path/two."""
    alone = train(parse(TrainConfig, [f"--workdir={tmp_path}/one", *flags])).path
    nets = [load_net(path / "model.keras").get_weights() for path in (alone, tmp_path / "two")]
    size = max(np.abs(w).max() for w in nets[0])
    assert size > 0.1
    for one, other in zip(*nets):
        np.testing.assert_allclose(one, other, atol=1e-4 * size)
        assert not exact_support or ((one != 0) == (other != 0)).all()
    for one, other in zip(epochs(alone), epochs(tmp_path / "two"), strict=True):
        for figure in ("val_accuracy", "val_robust_accuracy", "val_adversarial_loss"):
            assert float(one[figure]) == pytest.approx(float(other[figure]), abs=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1", "b:2"]}}',
        '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": "x"}}',
        '{"cluster": {"worker": ["a:1", "b"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0.5}}',
        '{"cluster": {"worker": {"a:1": 0, "b:2": 1}}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:2"], "ps": ["c:3"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "chief", "index": 0}}',
    ],
)
def test_workers_that_are_not_named_well(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(Refusal, match="expected TF_CONFIG in each worker's environment"):
        workers.multiworker()


@pytest.mark.parametrize("archive", [b"", b"ab", bytes(range(256)) * 3])
def test_bytes_arrive_as_they_were(monkeypatch, archive):
    """In pieces too."""
    monkeypatch.setattr(workers, "PIECE", 100)
    assert workers.hand_out(tf.distribute.get_strategy(), archive) == archive


def test_the_run_directory_in_an_archive(tmp_path):
    """Of a stage that is done only what the next one starts from."""
    files = ["history.csv", "model.keras", "dense-from-0/checkpoint", "dense-from-0/best.weights.h5"]
    files += ["dense-from-0/final-3.weights.h5", "admm-from-3/checkpoint", "admm-from-3/best.weights.h5"]
    for name in files:
        path = tmp_path / "run" / ("checkpoints" if "/" in name else "") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    workers.unpack(workers.packed(tmp_path / "run"), tmp_path / "copy")
    found = sorted(
        str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*") if path.is_file()
    )
    stages = ["admm-from-3/best.weights.h5", "admm-from-3/checkpoint", "dense-from-0/final-3.weights.h5"]
    assert found == [*(f"checkpoints/{name}" for name in stages), "history.csv"]


@pytest.mark.parametrize("number", [1, 2])
def test_only_where_there_are_others_one_can_have_gone(monkeypatch, number):
    monkeypatch.setattr(workers, "workers", lambda devices: number)
    error = tf.errors.UnavailableError(None, None, "Graph execution error:\n\nx is aborted by: Connection reset\nmore")
    said = r"another worker is lost \(Connection reset\); the same command"
    expected = (TrainingFailed, said) if number > 1 else (tf.errors.UnavailableError, "Graph")
    with pytest.raises(expected[0], match=expected[1]), workers.none_is_lost(None):
        raise error
