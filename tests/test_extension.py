"""One entry adds a net, a data set, an attack, a projection, a loss, a method, an evaluation mode and an export format.

The code of all eight is in one module outside the project, as docs/architecture.md describes.
"""

import importlib
import sys

import pytest

from robust_tf.attacks import ATTACKS, Attack
from robust_tf.commands import evaluate, export_tflite, report, train
from robust_tf.data import DATASETS, DataSet
from robust_tf.evaluation import MODES, Mode
from robust_tf.export import EXACT, FORMATS, Format
from robust_tf.flags.declare import help_text
from robust_tf.models import MODELS, Model
from robust_tf.projections import PROJECTIONS, Projection
from robust_tf.records.manifest import Manifest
from robust_tf.records.record import read
from robust_tf.registry import Entry
from robust_tf.report.runs import read_evaluation
from robust_tf.training import LOSSES, Loss
from robust_tf.training.config import TrainConfig
from robust_tf.training.methods import METHODS, Method, Stage
from robust_tf.training.rundir import RunDirectory

MODULE = '''
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.drawing.figures import Figure, Missing
from robust_tf.evaluation.accuracy import correct
from robust_tf.data.pixels import pixels
from robust_tf.records.evaluation import Evaluation
from robust_tf.training.losses import Objective


def net(input_shape, num_classes, normalisation=None, width=1.0):
    layers = keras.layers
    return keras.Sequential(
        [keras.Input(input_shape), layers.Flatten(), layers.Dense(int(8 * width), "relu"), layers.Dense(num_classes)]
    )


def load(split, data_dir=None):
    """60 images of 5 x 4 pixels with three classes: dark, grey and bright."""
    labels = np.arange(60) % 3
    noise = np.random.default_rng(len(split)).integers(0, 40, (60, 5, 4, 1))
    return (noise + 100 * labels[:, None, None, None]).astype(np.uint8), labels


def brighter(logits_fn, x, y, *, eps, steps=1):
    """Adds eps to all pixels."""
    return tf.clip_by_value(x + eps, 0.0, 1.0)


def first_of_each(kernels, k, bits=8):
    """Keeps the first k weights of all kernels, whatever their values."""
    left, kept = int(k), []
    for w in kernels:
        mask = np.arange(w.shape.num_elements()) < left
        left -= int(mask.sum())
        kept.append(w * tf.cast(mask.reshape(w.shape), w.dtype))
    return kept


def squared(ce, y, z, z_adv, adv_weight, beta):
    return beta * ce(y, z_adv) ** 2


SQUARED = Objective(value=squared)


@dataclass(frozen=True, kw_only=True)
class Brightness(Evaluation):
    eps: float
    mean: float


def measure(subject, asked, saved):
    x = pixels(subject.images)
    right = correct(subject.logits_fn, x, subject.labels)
    return subject.record(asked, clean_accuracy=float(right.mean()), mean=float(tf.reduce_mean(x)))


def show(record, console):
    console.print(f"mean brightness {record.mean:.3f}")


def drawn(runs):
    rows = [(run.name, f"{record.mean:.3f}") for run in runs for record in run.records("brightness")]
    if not rows:
        return Missing("Brightness", "bin/evaluate --mode=brightness writes it")
    return Figure("brightness", "Brightness", columns=("run", "mean"), rows=rows)


FIGURES = (drawn,)


def unoptimised(converter, representative):
    converter.optimizations = []
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of the module; every object in it is registered."""
    (tmp_path / "toys.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    at = "toys:{}".format
    monkeypatch.setitem(MODELS, "toy_net", Model(address=at("net")))
    classes = ("dark", "grey", "bright")
    images = DataSet(Entry(address=at("load")), 60, (5, 4, 1), classes, eps=0.05, far=0.5, options=())
    monkeypatch.setitem(DATASETS, "toy_images", images)
    monkeypatch.setitem(
        ATTACKS, "brighter", Attack(address=at("brighter"), summary="lighter", options=("steps",), random=False)
    )
    monkeypatch.setitem(
        PROJECTIONS, "first", Projection(address=at("first_of_each"), summary="the first ones", options=("bits",))
    )
    monkeypatch.setitem(
        LOSSES, "squared", Loss(address=at("SQUARED"), summary="squared", options=("attack", "random_start", "beta"))
    )

    def stages(config):
        return [Stage("warm", 1), Stage("kept", config.epochs, prepare="prune", constraint="masks")]

    method = Method(
        stages=stages, summary="prune at once", options=("loss", "eps_schedule", "ratio", "projection"),
        kept_by=("masks",),
    )  # fmt: skip
    monkeypatch.setitem(METHODS, "at_once", method)
    mode = Mode(address="toys", record=at("Brightness"), summary="how bright the images are", options=("eps",))
    monkeypatch.setitem(MODES, "brightness", mode)
    monkeypatch.setitem(FORMATS, "unoptimised", Format(address=at("unoptimised"), **EXACT, compact=False))
    yield "toys"
    sys.modules.pop("toys", None)


def run(command, *flags):
    """Runs the command in this process and returns its exit code."""
    before, sys.argv = sys.argv, [command.__name__, *flags]
    try:
        command.main()
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = before
    return 0


def test_each_is_one_entry(module, tmp_path, capsys):
    workdir = f"--workdir={tmp_path}/run"
    flags = ["--dataset=toy_images", "--model=toy_net", "--width=2", "--method=at_once", "--loss=squared", "--beta=2"]
    flags += ["--projection=first", "--bits=4", "--ratio=0.5", "--epochs=3", "--batch_size=16", "--optimizer=adam"]
    assert run(train, workdir, *flags, "--steps=2", "--learning_rate=0.02") == 0
    trained = RunDirectory.open(tmp_path / "run")
    kept = [layer.nonzero for layer in trained.summary().layers]
    assert sum(kept) == round(0.5 * (20 * 16 + 16 * 3))
    assert kept[1] == 0  # the first k weights are all in the first layer
    assert [row.stage for row in trained.history()] == ["warm", "kept", "kept", "kept"]

    assert run(evaluate, workdir, "--attacks=brighter", "--steps=3") == 0
    assert run(evaluate, workdir, "--mode=brightness") == 0
    records = [read_evaluation(path) for path in sorted((tmp_path / "run" / "evaluation").glob("*.json"))]
    assert [record.mode for record in records] == ["attacks", "brightness"]
    assert list(records[0].per_attack) == ["brighter"]
    assert records[0].steps == 3
    assert records[1].mean == pytest.approx(120 / 255, abs=0.02)

    assert run(export_tflite, workdir, "--formats=unoptimised", "--steps=1") == 0
    (file,) = read(trained.export / "manifest.json", Manifest).files
    assert (file.format, file.agreement) == ("unoptimised", 1)

    assert run(report, workdir) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Brightness" in page
    assert "brightness" in capsys.readouterr().out


def test_their_facts_reach_help_and_refusals(module, tmp_path, capsys):
    text = " ".join(help_text(TrainConfig).split())
    for words in ("at_once: prune at once", "first: the first ones", "squared: squared", "toy_net", "toy_images"):
        assert words in text
    assert "--loss=trades|squared" in text  # the losses that take --beta
    workdir = f"--workdir={tmp_path}/new"
    assert run(train, workdir, "--dataset=toy_images", "--method=at_once", "--rho=1") == 2
    assert "--rho: expected --method=admm with it; got at_once" in capsys.readouterr().err
    assert run(train, workdir, "--dataset=toy_images", "--data_dir=x") == 2
    assert "--data_dir: expected --dataset=mnist|" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
