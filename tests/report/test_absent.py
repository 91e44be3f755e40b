"""Parts of a run that are not there, are damaged, or are of another net: each is named, and costs its figures only."""

import dataclasses
import json
import shutil

import pytest

from robust_tf.drawing.figures import Missing
from robust_tf.records.benchmark import Timings
from robust_tf.records.history import read_history, write_history
from robust_tf.records.manifest import Manifest
from robust_tf.records.record import read, write
from robust_tf.refusal import Refusal
from robust_tf.report.runs import read_evaluation, read_run, read_runs
from robust_tf.report.training import training

PARTS = {  # each with a figure that it costs
    "config.json": "Flags and versions",
    "summary.json": "Matrix ranks by layer",
    "history.csv": "robust: training curves",
    "export/manifest.json": "File sizes",
    "export/benchmark.json": "Latency",
}
DAMAGE = {"damaged": '{"', "foreign": '{"a": 1}', "a list": "[1]"}


@pytest.fixture
def copied(robust, tmp_path):
    """A copy of the run with all parts, without what the report does not read."""
    return shutil.copytree(robust, tmp_path / "robust", ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))


def record_of(run, start):
    """The path of the evaluation whose file's name starts so."""
    (path,) = (run / "evaluation").glob(f"{start}*.json")
    return path


def missing(figures):
    return {figure.title for figure in figures if isinstance(figure, Missing)}


def listed(figures):
    """What stands in the page's list of what is missing."""
    return [line for figure in figures if getattr(figure, "key", "") == "absent" for _, line in figure.rows]


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("how", ["absent", *DAMAGE])
def test_a_part_is_named_and_costs_its_figures_only(copied, figures_of, name, how):
    path = copied / name
    path.unlink()
    if how != "absent":
        path.write_text("a,b\n1,x" if name == "history.csv" else DAMAGE[how])
    run = read_run("robust", copied)
    (line,) = run.absent
    assert line.startswith(f"{name}: {'missing' if how == 'absent' else 'cannot be used'}; bin/")
    figures = figures_of([run])
    assert listed(figures) == [line]
    assert PARTS[name] in missing(figures)
    assert not {"Robust accuracy against eps", "Non-zero weights"} & missing(figures)


@pytest.mark.parametrize("how", DAMAGE)
def test_an_evaluation_that_cannot_be_used_is_named(copied, figures_of, how):
    path = record_of(copied, "curve-")
    path.write_text(DAMAGE[how])
    run = read_run("robust", copied)
    (line,) = run.absent
    assert line.startswith(f"evaluation/{path.name}: cannot be used; bin/evaluate writes it again")
    assert "Robust accuracy against eps" in missing(figures_of([run]))


def test_an_evaluation_of_a_mode_that_there_is_not_is_named(copied):
    path = record_of(copied, "curve-")
    path.write_text(path.read_text().replace('"curve"', '"arc"', 1))
    (line,) = read_run("robust", copied).absent
    assert "expected a record of a mode of bin/evaluate (attacks, curve, " in line
    assert "got 'arc'" in line


@pytest.mark.parametrize("how", ["absent", "damaged", "a folder"])
def test_a_net_that_cannot_be_read_is_named(copied, shared_runs, figures_of, how):
    (copied / "model.keras").unlink()
    if how == "damaged":
        (copied / "model.keras").write_text("no net")
    if how == "a folder":
        (copied / "model.keras").mkdir()
    figures = figures_of(read_runs([copied]))
    assert "Non-zero weights" in missing(figures)
    if how != "damaged":  # whose digest is of another net
        (line,) = listed(figures)
        words = "missing; bin/train" if how == "absent" else "cannot be used; bin/train writes it again ("
        assert line.startswith(f"model.keras: {words}")
    beside = figures_of(read_runs([copied, shared_runs / "natural"]))
    (weights,) = [figure for figure in beside if getattr(figure, "key", "") == "weights"]
    assert "Without robust" in weights.caption
    assert {row["run"] for row in weights.chart.data.values} == {"natural"}


@pytest.mark.parametrize("how", ["absent", "damaged", "foreign"])
def test_pictures_that_cannot_be_read_are_named(copied, figures_of, how):
    path = record_of(copied, "pictures-").with_suffix(".npz")
    if how == "foreign":
        shutil.copy(copied / "export" / "sample.npz", path)
    else:
        path.unlink()
        if how == "damaged":
            path.write_text("no arrays")
    figures = figures_of(read_runs([copied]))
    assert {"robust: perturbed images", "Saliency"} <= missing(figures)
    (figure,) = [figure for figure in figures if figure.title == "robust: perturbed images"]
    assert path.name in figure.why


def test_what_is_of_an_earlier_net_is_named(copied, figures_of):
    """A curve and the exported files; their numbers are not drawn."""
    path = record_of(copied, "curve-")
    write(path, dataclasses.replace(read_evaluation(path), model_sha256="0" * 64))
    manifest = copied / "export" / "manifest.json"
    write(manifest, dataclasses.replace(read(manifest, Manifest), model_sha256="0" * 64))
    run = read_run("robust", copied)
    assert run.absent == [
        f"evaluation/{path.name}: of an earlier net; bin/evaluate writes it again",
        "export/manifest.json: of an earlier net; bin/export_tflite writes it again",
    ]
    assert {"Robust accuracy against eps", "File sizes"} <= missing(figures_of([run]))


def test_losses_that_are_no_numbers_leave_the_others(copied):
    rows = read_history(copied / "history.csv")
    rows[-1] = dataclasses.replace(rows[-1], adversarial_loss=float("nan"), val_clean_loss=float("inf"))
    write_history(copied / "history.csv", rows)
    run = read_run("robust", copied)
    assert run.absent == []
    whole = [row.adversarial_loss is not None for row in run.history]
    assert whole == [True] * (len(rows) - 1) + [False]
    for figure in training([run]):
        json.dumps(figure.chart.to_dict(), allow_nan=False)


@pytest.mark.parametrize("cells", ["0,a,1,2", "0,a,1,2,3"])
def test_a_history_with_cells_too_many_is_named(copied, cells):
    (copied / "history.csv").write_text(f"epoch,stage,seconds\n0,a,1\n{cells}\n")
    run = read_run("robust", copied)
    (line,) = run.absent
    assert line.startswith("history.csv: cannot be used; bin/train writes it again")
    assert f"got a row with {cells.count(',') - 2} cells too many" in line
    assert "\n" not in line


def test_a_history_without_figures_costs_its_figures(copied):
    (copied / "history.csv").write_text("epoch,stage,seconds\n0,a,1\n")
    assert missing(training([read_run("robust", copied)])) == {"robust: accuracy", "robust: loss"}


def test_benchmarks_of_devices_that_cannot_be_used_are_named(copied, shared_runs):
    shutil.copy(shared_runs / "device.json", copied / "export" / "benchmark-device.json")
    (copied / "export" / "benchmark-other.json").write_text("{}")
    run = read_run("robust", copied)
    (line,) = run.absent
    assert line.startswith("export/benchmark-other.json: cannot be used")
    assert set(read(shared_runs / "device.json", Timings).timings) < set(run.timings)


def test_an_empty_folder(tmp_path, figures_of):
    figures = figures_of(read_runs([tmp_path]))
    assert [line.partition(":")[0] for line in listed(figures)] == [
        "config.json", "summary.json", "history.csv", "model.keras", "evaluation/", "export/manifest.json",
        "export/benchmark.json",
    ]  # fmt: skip
    assert [figure.key for figure in figures if not isinstance(figure, Missing)] == ["overview", "absent"]


def test_no_folder(tmp_path):
    with pytest.raises(Refusal, match="expected a run directory of bin/train; got none"):
        read_runs([tmp_path / "absent"])
