"""Names of runs, and what their records say beside the evaluations: certificates, signs, factors, exports."""

import dataclasses
import json
import shutil

import pytest

from robust_tf.drawing.figures import Missing
from robust_tf.drawing.words import percent
from robust_tf.records.manifest import LeftOut
from robust_tf.records.summary import FactorisedLayer, Factors
from robust_tf.refusal import Refusal
from robust_tf.report.device import latency, notes
from robust_tf.report.overview import flags, overview
from robust_tf.report.runs import read_run, read_runs
from robust_tf.report.weights import factors, ranks


@pytest.fixture
def run(robust):
    return read_run("robust", robust)


def test_names_are_unique(robust, tmp_path, figures_of):
    folders = [tmp_path / name for name in ("a/x/run", "b/x/run", "b-x-run")]
    for folder in folders:
        folder.mkdir(parents=True)
        shutil.copy(robust / "history.csv", folder)
    runs = read_runs(folders)
    assert [run.name for run in runs] == ["a/x/run", "b/x/run", "b-x-run"]
    keys = [figure.key for figure in figures_of(runs) if not isinstance(figure, Missing)]
    assert len(keys) == len(set(keys))
    assert not [key for key in keys if "/" in key]


@pytest.mark.parametrize("again", ["run", "run/", "other/../run", "link"])
def test_a_run_is_given_once(tmp_path, again):
    (tmp_path / "run").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("run")
    given = [f"{tmp_path}/run", f"{tmp_path}/{again}"]
    with pytest.raises(Refusal) as refusal:
        read_runs(given)
    assert str(refusal.value) == f"--workdir={given[1]}: expected each run once; got it twice"


def shown(run):
    """The overview's row of a run, by column."""
    figure = overview([run])
    return dict(zip(figure.columns, figure.rows[0])), figure.caption


def certified_by(run, accuracy):
    run.summary = dataclasses.replace(run.summary, certified_accuracy=accuracy)
    run.evaluations = {
        stem: dataclasses.replace(record, certified_accuracy=accuracy, certified_eps=None if accuracy is None else 0.1)
        for stem, record in run.evaluations.items()
    }


def test_certified_accuracy_stands_in_the_overview(run):
    certified_by(run, 0.125)
    largest = max(record.num_images for record in run.evaluations.values())
    other = dataclasses.replace(run.records("curve")[0], certified_eps=0.05, certified_accuracy=0.5, num_images=3)
    run.evaluations["other"] = other
    row, caption = shown(run)
    half, eighth, held_out = (percent(*each) for each in ((0.5, 3), (0.125, largest), (0.125, run.summary.num_images)))
    assert row["certified"] == f"{half} at linf eps 0.05, 3 images; {eighth} at linf eps 0.1, {largest:,} images"
    assert row["certified, held-out images"] == f"{held_out} at eps 0.1, {run.summary.num_images:,} images"
    assert "Certified: " in caption


def test_without_certified_accuracy_there_is_no_such_column(run):
    certified_by(run, None)
    row, caption = shown(run)
    assert not [name for name in row if "certified" in name]
    assert "ertified" not in caption


def test_no_sign_is_a_result(run):
    assert flags([run]).rows
    run.evaluations = {stem: dataclasses.replace(each, flags=()) for stem, each in run.evaluations.items()}
    figure = flags([run])
    assert not isinstance(figure, Missing)
    assert figure.rows == []
    assert figure.caption == f"None in the {len(run.evaluations) - 3} evaluations that looked for them."
    run.evaluations = {
        stem: each for stem, each in run.evaluations.items() if each.mode in ("pictures", "usefulness", "certify")
    }
    assert flags([run]) == []


FACTORS = Factors(
    nonzero=31,
    nonzero_literal=35,
    layers=(
        FactorisedLayer(layer="conv1", U=3, V=11, C=5, rank_U=2, rank_V=4, full_rank=6),
        FactorisedLayer(layer="logits", W=12),
    ),
)


def test_factors_of_atmc(run):
    run.summary = dataclasses.replace(run.summary, factors=FACTORS)
    weights, rank = factors([run])
    assert (weights.key, rank.key) == ("factors", "factor-ranks")
    found = {(row["layer"], row["factor"]): row["weights"] for row in weights.chart.data.values}
    assert found == {
        ("conv1", "robust: U'"): 3, ("conv1", "robust: V"): 11, ("conv1", "robust: C"): 5,
        ("logits", "robust: W, not factorised"): 12,
    }  # fmt: skip
    found = {(row["layer"], row["factor"]): row["rank"] for row in rank.chart.data.values}
    assert found == {
        ("conv1", "robust: U', non-zero columns"): 2, ("conv1", "robust: V, non-zero rows"): 4,
        ("conv1", "robust: largest possible r"): 6,
    }  # fmt: skip
    assert "figures 8 to 11" in rank.caption
    assert "Gui" not in ranks([run]).caption


def test_runs_without_factors_have_no_such_figures(run):
    assert factors([run]) == []
    run.summary = None
    assert factors([run]) == []


def test_problems_of_an_export_are_listed(run):
    run.manifest = dataclasses.replace(run.manifest, flags=())
    assert notes([run]) == []
    left = (LeftOut(format="sparse", reason="it differs from the net"),)
    run.manifest = dataclasses.replace(run.manifest, flags=("model_int8.tflite: 9 % less",), left_out=left)
    assert notes([run]).rows == [
        ("robust", "warning", "model_int8.tflite: 9 % less"),
        ("robust", "no sparse file", "it differs from the net"),
    ]
    run.manifest = None
    assert notes([run]) == []


def test_a_file_that_was_timed_again_has_further_bars(run):
    before = latency([run])[0].chart.data.values
    timing = next(timing for timing in run.timings if timing.protocol == "memory")
    run.timings += (timing, dataclasses.replace(timing, delegate="none", median_ms=2 * timing.median_ms))
    rows = latency([run])[0].chart.data.values
    assert len(rows) == len(before) + 1
    assert rows[-1]["where"].endswith(" (2)")
    places = [(row["file"], row["where"]) for row in rows]
    assert len(places) == len(set(places))


def test_numbers_are_written_out(runs, figures_of):
    """D3 writes 250 as 2.5e+2 for an empty format; epochs are whole."""
    for figure in figures_of(runs):
        if getattr(figure, "chart", None) is not None:
            spec = figure.chart.to_dict()
            assert '"format": ""' not in json.dumps(spec)
            if figure.key.startswith("training-"):
                assert all(isinstance(tick, int) for tick in spec["encoding"]["x"]["axis"]["values"])
