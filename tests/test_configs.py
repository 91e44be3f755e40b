"""The committed flagfiles: each is valid, names its command and states its cost."""

import re
from pathlib import Path

import pytest
import tf_keras as keras

from robust_tf.data import described
from robust_tf.flags.declare import parse
from robust_tf.models.build import build
from robust_tf.training.config import TrainConfig
from robust_tf.training.cost import costs

ROOT = Path(__file__).parents[1]
SHARED = ("common.cfg", "thesis.cfg", "atmc.cfg")  # the other flagfiles of the folder include them
FILES = sorted(path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.cfg") if path.name not in SHARED)
PAPERS = [path for path in FILES if path.parent.name == "papers"]
QUICK = ("mnist_", "convnet")


def read(path, monkeypatch):
    monkeypatch.chdir(ROOT)  # flagfiles include others by their path from ROOT
    return parse(TrainConfig, [f"--flagfile={path}"])


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_flagfile_is_read_and_says_how_to_run_it(path, monkeypatch):
    read(path, monkeypatch)
    header = (ROOT / path).read_text()
    commanded = f"bin/train --flagfile={path}" in header or "/mnist_lenet_comparison/" in f"/{path}"
    assert commanded or path.name == "quickstart.cfg"
    assert all(len(line) <= 200 for line in header.splitlines())


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=() if any(q in p.name for q in QUICK) else pytest.mark.slow, id=p.stem) for p in PAPERS],
)
def test_costs_of_the_papers_rows_are_counted(path, monkeypatch):
    config = read(path, monkeypatch)
    dataset = described(config.dataset, None, None)
    total = sum(cost.operations for cost in costs(config, build(config, dataset), dataset.train_images))
    (said,) = re.findall(r"# Cost: (\S+) operations", (ROOT / path).read_text())
    assert f"{total:.1e}" == said
    keras.backend.clear_session()
