"""The committed flagfiles: each is valid, names its command and states its cost."""

import re
from pathlib import Path

import pytest
import tf_keras as keras

from robust_tf.data import described
from robust_tf.flags.declare import divided, parse
from robust_tf.models.build import build
from robust_tf.sweep.config import SweepConfig
from robust_tf.sweep.grid import command_line
from robust_tf.sweep.plan import plan
from robust_tf.training.callbacks.pacing import AdaptivePacing
from robust_tf.training.config import TrainConfig
from robust_tf.training.cost import costs
from robust_tf.training.methods import METHODS
from robust_tf.training.rundir import RunDirectory
from robust_tf.training.schedules import value_at
from robust_tf.training.stage import stage_schedule

ROOT = Path(__file__).parents[1]
SHARED = (
    "common.cfg", "thesis.cfg", "atmc.cfg", "atmc_code.cfg", "atmc_mnist.cfg", "atmc_cifar10.cfg", "atmc_svhn.cfg",
    "atmc_stl10.cfg",
)  # fmt: skip  # the other flagfiles of the folder include them
CLAIMS = ROOT / "configs" / "claims"
OTHERS = ROOT / "configs" / "sweeps"
SWEEPS = sorted(
    path.relative_to(ROOT) for path in (*CLAIMS.glob("*.cfg"), *OTHERS.glob("*.cfg")) if path.name != "common.cfg"
)
FILES = sorted(
    path.relative_to(ROOT)
    for path in (ROOT / "configs").rglob("*.cfg")
    if path.name not in SHARED and not {CLAIMS, OTHERS} & {*path.parents}
)
PAPERS = [path for path in FILES if path.parent.name == "papers"]
QUICK = ("mnist_", "convnet")


# The learning rate that each source prescribes at the start of a stage; None: the same for all stages.
THESIS, PAPER = {None: 0.05}, {None: 0.005}
CODE = {"dense": 0.05, "natural": 0.05, "l0": 0.01, "finetune": 0.01, "atmc": 0.005, "codebook": 0.005}


def prescribed(path):
    """{stage: learning rate} of the source of a paper's row."""
    if path.stem.endswith("_code"):
        return CODE
    return THESIS if (ROOT / path).read_text().startswith("# Thesis") else PAPER


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


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_run_of_a_sweep_can_be_trained(path, monkeypatch, tmp_path):
    """Its grid holds all files of its own folder, if it has one, and all its runs train for equally many epochs. Sweeps
    that evaluate one net with another find the runs of the methods' sweep in the same folder."""
    monkeypatch.chdir(ROOT)
    assert f"bin/sweep --flagfile={path}" in path.read_text()
    if "{runs}" in path.read_text():
        for cell in planned_sweep(CLAIMS / "methods.cfg", tmp_path).cells:
            run = RunDirectory(tmp_path / "runs" / cell.name)
            run.claim(parse(TrainConfig, [*command_line(cell.flags), f"--workdir={run.path}"]))
            run.net_path.touch()
        (tmp_path / "sweep.json").touch()
    planned = planned_sweep(path, tmp_path)
    starts, cells = {start.name: epochs(start) for start in planned.starts}, planned.cells
    assert [cell.refused for cell in cells] == [""] * len(cells)
    files = {file.stem for file in (path.parent / path.stem).glob("*.cfg")}
    assert {cell.varied.get("flagfile") for cell in cells} >= files
    assert len({epochs(cell) + starts.get(cell.start, 0) for cell in cells}) == 1


def planned_sweep(path, folder):
    lines = Path(path).read_text().splitlines()
    ratio = [] if "--grid=ratio=0.01" in lines else ["--grid=ratio=0.01"]
    own, flags = divided([f"--flagfile={path}", *ratio, f"--workdir={folder}"], SweepConfig, TrainConfig)
    return plan(parse(SweepConfig, own), flags)


def epochs(cell):
    """Of the cell alone, without its dense start."""
    config = parse(TrainConfig, command_line(cell.flags))
    return sum(stage.epochs for stage in METHODS[config.method].stages(config))


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_every_stage_of_a_papers_row_learns(path, monkeypatch):
    """Its largest learning rate is at least a tenth of the one that its source prescribes for that stage."""
    config, source, first_epoch = read(path, monkeypatch), prescribed(path), 0
    for stage in METHODS[config.method].stages(config):
        if not stage.epochs:
            continue
        rates = stage_schedule(config, stage, first_epoch, AdaptivePacing("none")).sequences["learning_rate"]
        largest = max(value_at(rates, epoch) for epoch in range(first_epoch, first_epoch + stage.epochs))
        assert largest >= 0.1 * source.get(stage.name, source.get(None)), stage.name
        assert largest <= 10 * source.get(stage.name, source.get(None)), stage.name
        first_epoch += stage.epochs


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
