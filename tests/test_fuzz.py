"""Any command line, flagfile, run directory or image gives a result or a Refusal, and no other exception."""

import contextlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from robust_tf.data.decode import FORMATS, attempted
from robust_tf.data.decode import read as read_image
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.evaluation.settings import resolved
from robust_tf.export.config import ExportConfig
from robust_tf.flags.declare import divided, parse
from robust_tf.refusal import Refusal
from robust_tf.report.config import ReportConfig
from robust_tf.report.runs import read_runs
from robust_tf.sweep.config import SweepConfig
from robust_tf.sweep.grid import cells, values_of
from robust_tf.training.callbacks.checkpoints import read, restored
from robust_tf.training.config import TrainConfig
from robust_tf.training.rundir import RunDirectory

CONFIGS = [TrainConfig, EvaluateConfig, ExportConfig, ReportConfig, SweepConfig]
NAMES = sorted(
    {name for Config in CONFIGS for name in Config.__dataclass_fields__} | {"flagfile", "undefok", "helpxml"}
)
# Values that are almost valid for some flags, and arbitrary text.
NEAR = [
    "",
    "0",
    "1",
    "-1",
    "1e999",
    "nan",
    "1/0",
    "8/255",
    "0:0.1,5:0.3",
    "0:1",
    "ap",
    "admm",
    "mnist",
    "folder",
    "32x",
    "x",
]
VALUES = st.one_of(st.sampled_from(NEAR), st.text(max_size=12), st.integers().map(str), st.floats().map(repr))
FLAGS = st.builds(lambda name, value: f"--{name}={value}", st.sampled_from(NAMES), VALUES)
ARGUMENTS = st.lists(st.one_of(FLAGS, st.sampled_from(NAMES).map("--{}".format), VALUES), max_size=5)


@pytest.mark.parametrize("Config", CONFIGS)
@given(ARGUMENTS)
@settings(max_examples=150, deadline=None)
def test_command_lines(Config, argv):
    with contextlib.suppress(Refusal):
        parse(Config, argv)


@given(st.lists(st.builds("{}={}".format, st.sampled_from(NAMES), VALUES), max_size=3), ARGUMENTS)
@settings(max_examples=100, deadline=None)
def test_sweeps(grid, argv):
    with contextlib.suppress(Refusal):
        _, flags = divided(argv, SweepConfig, TrainConfig)
        cells(flags, values_of(grid), (0, 1), "runs")


@given(st.one_of(st.binary(max_size=60), st.lists(FLAGS, max_size=4).map(lambda lines: "\n".join(lines).encode())))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flagfiles(tmp_path, content):
    file = tmp_path / "a.cfg"
    file.write_bytes(content)
    for Config in (TrainConfig, EvaluateConfig):
        with contextlib.suppress(Refusal):
            parse(Config, [f"--flagfile={file}"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PARTS = [
    "config.json", "classes.json", "images.json", "summary.json", "history.csv", "model.keras",
    "evaluation/attacks.json", "export/manifest.json", "export/benchmark.json", "export/sample.npz", "sweep.json",
]  # fmt: skip


@pytest.fixture
def run(shared_runs):
    return shared_runs / "natural"


def copied(run, folder):
    """A copy of the run's files that later commands read."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("checkpoints", "tensorboard", "*.tflite", "report"))
    return folder


def damaged(folder, part, content):
    """Replaces the file `part`: removes it for None, else writes the bytes or the JSON value `content`."""
    path = folder / part
    path.parent.mkdir(exist_ok=True)
    if content is None:
        path.unlink(missing_ok=True)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(json.dumps(content))


@given(st.sampled_from(PARTS), st.one_of(st.none(), st.binary(max_size=40), JSON))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_run_directories(run, tmp_path, part, content):
    folder = copied(run, tmp_path / "run")
    damaged(folder, part, content)
    looked_at(folder)


def looked_at(folder):
    """Reads a run directory as each command does first."""
    asked = parse(EvaluateConfig, [f"--workdir={folder}"])
    for look in (
        lambda: RunDirectory.for_config(parse(TrainConfig, ["--method=da", f"--workdir={folder}"])),
        lambda: RunDirectory.open(folder).classes,
        lambda: RunDirectory.open(folder).images,
        lambda: resolved(asked, RunDirectory.open(folder).config),
        lambda: read_runs([folder]),
    ):
        with contextlib.suppress(Refusal):
            look()


FLAGS_OF_RUNS = sorted(TrainConfig.__dataclass_fields__)


@given(st.dictionaries(st.sampled_from(FLAGS_OF_RUNS), JSON, min_size=1, max_size=2))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_configurations_with_foreign_values(run, tmp_path, values):
    """As if a user edited config.json by hand."""
    folder = copied(run, tmp_path / "run")
    damaged(folder, "config.json", {**json.loads((run / "config.json").read_text()), **values})
    looked_at(folder)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder with the files of a stage that trained a net with two weights, both 3."""
    folder = tmp_path_factory.mktemp("stage")
    net = two_weights(3.0)
    restored(tf.train.Checkpoint(net=net), folder).save()
    net.save_weights(folder / "best.weights.h5")
    return folder


def two_weights(value):
    net = keras.Sequential([keras.layers.Dense(1)])
    net.build((None, 1))
    net.set_weights([np.full((1, 1), value), np.full(1, value)])
    return net


HARM = st.one_of(
    st.tuples(st.just("cut"), st.floats(0, 1)),
    st.tuples(st.just("flipped"), st.floats(0, 0.999)),
    st.tuples(st.just("replaced"), st.binary(max_size=60)),
    st.tuples(st.just("gone"), st.none()),
)
STATE = ["checkpoint", "ckpt-1.index", "ckpt-1.data-00000-of-00001"]


def harmed(content, how, what):
    if how == "cut":
        return content[: int(what * len(content))]
    if how == "flipped":
        at = int(what * len(content))
        return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]
    return what


@given(st.sampled_from([*STATE, "best.weights.h5"]), HARM)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_checkpoints(checkpoint, tmp_path, name, harm):
    """A damaged checkpoint is refused or ignored. TensorFlow checkpoints have checksums: no wrong value is read."""
    folder = tmp_path / "stage"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(checkpoint, folder)
    content = harmed((folder / name).read_bytes(), *harm)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    net = two_weights(1.0)
    with contextlib.suppress(Refusal):
        if name in STATE:
            read(folder, lambda _: restored(tf.train.Checkpoint(net=net), folder))
            assert {float(w.numpy().squeeze()) for w in net.weights} in ({1.0}, {3.0})
        elif content is not None:
            read(folder / name, net.load_weights)
    if content is not None:
        assert (folder / name).read_bytes() == content


@pytest.fixture
def read_only():
    """make(folder): a copy of the folder that cannot be written, not even if the tests run as root."""
    before, temporary = os.geteuid(), []

    def make(folder):
        # Other users cannot read the folders that pytest makes.
        place = Path(tempfile.mkdtemp(prefix="robust_tf-"))
        temporary.append(place)
        shutil.copytree(folder, place / "run")
        place.chmod(0o755)
        for path in place.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        if before == 0:
            os.seteuid(65534)
        return place / "run"

    yield make
    os.seteuid(before)
    for place in temporary:
        for path in place.rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(place)


def test_read_only_run_directories(run, read_only):
    folder = read_only(run)
    new = parse(TrainConfig, [f"--workdir={folder}/inner/run"])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for call in (
        lambda: RunDirectory(folder).subfolder("inner"),
        lambda: RunDirectory(folder).locked().__enter__(),
        lambda: RunDirectory(folder).claim(RunDirectory(folder).config),
        lambda: RunDirectory.for_config(new).claim(new),
    ):
        with pytest.raises(Refusal, match="expected a writable folder"):
            call()
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def encoded(kind):
    buffer = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(buffer, kind)
    return buffer.getvalue()


@given(st.sampled_from(FORMATS).map(encoded), HARM)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_images(tmp_path, content, harm):
    """A damaged file is read as some image, or is unreadable for a reason."""
    path = tmp_path / "1.png"
    path.unlink(missing_ok=True)
    content = harmed(content, *harm)
    if content is not None:
        path.write_bytes(content)
    ((_, image, reason),) = attempted(lambda path: read_image(path, (8, 8), 3), [path])
    assert (image.dtype, image.shape) == (np.uint8, (8, 8, 3)) if reason == "" else "\n" not in reason
