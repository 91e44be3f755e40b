"""Several evaluations of one run in one mode: each has its own label, and no bars are added up."""

import dataclasses
import json

import pytest
import vl_convert

from robust_tf.drawing.figures import Missing
from robust_tf.drawing.words import described, percent, short_names
from robust_tf.evaluation import MODES
from robust_tf.evaluation.modes.attacks import after_each, by_attack
from robust_tf.evaluation.modes.minimal import radii_that_fool
from robust_tf.evaluation.modes.transfer import by_judge
from robust_tf.report.labels import labels
from robust_tf.report.page import drawn
from robust_tf.report.runs import read_run

LABELLED = [mode for mode in MODES if mode != "attacks"]


@pytest.fixture
def run(robust):
    return read_run("robust", robust)


def only(run, *records):
    """The run with these evaluations only."""
    run.evaluations = {str(number): record for number, record in enumerate(records)}
    return run


def of(run, mode, attack=None):
    """The run's record of a mode; in mode attacks, the one with this attack first."""
    (record,) = [each for each in run.records(mode) if attack is None or each.attacks[0] == attack]
    return record


def figures(run, mode):
    found = [figure for function in MODES[mode].resolve().FIGURES for figure in drawn(function, [run])]
    assert not [figure for figure in found if isinstance(figure, Missing)]
    return found


def texts(figure):
    """The words of a figure's rows, or titles of its pictures and of itself."""
    rows = figure.chart.data.values if figure.chart is not None else [dict(enumerate(row)) for row in figure.rows]
    words = [value for row in rows for value in row.values() if isinstance(value, str)]
    return [figure.title, *words, *(title for title, _ in figure.pictures)]


@pytest.mark.parametrize("mode", LABELLED)
def test_evaluations_with_other_seeds_are_drawn_apart(run, mode):
    record = of(run, mode)
    only(run, record, dataclasses.replace(record, seed=1))
    assert [label for label, _ in run.labelled(mode)] == ["robust, seed 0", "robust, seed 1"]
    words = [text for figure in figures(run, mode) for text in texts(figure)]
    for label in ("robust, seed 0", "robust, seed 1"):
        assert any(text.startswith(label) for text in words)
    keys = [figure.key for figure in figures(run, mode)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("mode", ["attacks", "quantised", "generalise", "tflite"])
def test_no_bars_are_added_up(run, mode):
    """No bar is stacked on another, and no two rows have one place."""
    record = run.records(mode)[0]
    only(run, record, dataclasses.replace(record, eps=2 * record.eps), dataclasses.replace(record, seed=1), record)
    figure = figures(run, mode)[0]
    vega = json.dumps(vl_convert.vegalite_to_vega(figure.chart.to_dict()))
    assert '"type": "stack"' not in vega
    places = [tuple(value for value in row.values() if isinstance(value, str)) for row in figure.chart.data.values]
    assert len(places) == len(set(places))


def test_a_single_evaluation_has_the_name_of_its_run(run):
    assert [label for label, _ in run.labelled("curve")] == ["robust"]


RADII = (0.1, 0.2, 0.3, 0.4)
CHANGES = [
    ("curve", {"radii": (0.1,)}, {"radii": RADII}, "radii 0.1", "radii 0.1 to 0.4"),
    ("curve", {"radii": RADII}, {"radii": (0.1, 0.3, 0.35, 0.4)}, "radii 0.1,0.2,0.3,0.4", "radii 0.1,0.3,0.35,0.4"),
    ("curve", {"steps": 5}, {"steps": 9, "num_images": 7}, "steps 5, 20 images", "steps 9, 7 images"),
    ("minimal", {"bisections": 0}, {"bisections": 1}, "bisections 0", "bisections 1"),
    ("minimal", {"restarts": 1}, {"restarts": 2}, "restarts 1", "restarts 2"),
    ("quantised", {"attacks": ("fgsm", "pgd")}, {"attacks": ("pgd",)}, "fgsm + pgd", "pgd"),
    ("quantised", {"eps": 0.1}, {"eps": 0.2}, "eps 0.1", "eps 0.2"),
    ("quantised", {"eps": 8 / 255}, {"eps": 0.031373}, "eps 0.03137254901960784", "eps 0.031373"),
    ("quantised", {"queries": None}, {"queries": 50}, "", "queries 50"),
    ("generalise", {"wrm_steps": 3}, {"wrm_steps": 4}, "wrm_steps 3", "wrm_steps 4"),
    ("transfer", {"targets": ("runs/a/",)}, {"targets": ("runs/b",)}, "targets a", "targets b"),
    ("ensemble", {"natural": "a/run"}, {"natural": "b/run"}, "natural a/run", "natural b/run"),
    ("tflite", {"file": None}, {"file": "a/b.tflite"}, "", "file b.tflite"),
    ("attacks", {"individual": False}, {"individual": True}, "", "individual"),
    ("attacks", {"version": "standard"}, {"version": "thesis"}, "standard", "thesis"),
    ("attacks", {"further": None}, {"further": {"momentum": 0.9}}, "", "momentum 0.9"),
    ("attacks", {}, {}, "", " (2)"),
]


@pytest.mark.parametrize(("mode", "one", "other", "first", "second"), CHANGES)
def test_a_label_holds_what_differs(run, mode, one, other, first, second):
    record = run.records(mode)[0]
    found = labels("run", [dataclasses.replace(record, **changes) for changes in (one, other)])
    assert found == [f"run, {first}" if first else "run", f"run{second}" if second == " (2)" else f"run, {second}"]


def test_evaluations_of_attacks_are_described(run):
    pgd, auto = dataclasses.replace(of(run, "attacks", "pgd"), alpha=0.02), of(run, "attacks", "autoattack")
    assert described(pgd) == "pgd; linf eps 0.1, 1 steps of 0.02, 60 images"
    assert "1 steps, 60 images" in described(dataclasses.replace(pgd, alpha=None))
    assert "2 restarts, 5,000 queries, 60 images" in described(dataclasses.replace(pgd, restarts=2, queries=5000))
    assert described(auto) == "autoattack (standard); linf eps 0.1, 10 images"
    assert described(dataclasses.replace(auto, version="thesis", individual=True)).startswith(
        "autoattack (thesis, individual); "
    )
    assert "momentum 0.9" in described(dataclasses.replace(auto, further={"momentum": 0.9}))


@pytest.mark.parametrize("changes", [{"seed": 1}, {"eps": 0.2}, {"restarts": 3}, {"queries": 9}, {"steps": 3}])
def test_headings_of_attacks_hold_what_differs(run, changes):
    record = of(run, "attacks", "pgd")
    only(run, record, dataclasses.replace(record, **changes))
    headings = {row["evaluation"] for row in by_attack([run]).chart.data.values}
    assert len(headings) == 2
    assert not any(heading.endswith(")") for heading in headings)


def test_evaluations_stand_in_the_order_of_the_runs(runs):
    chart = by_attack(runs).chart.to_dict()
    headings = list(dict.fromkeys(row["evaluation"] for row in chart["data"]["values"]))
    assert [heading.partition(":")[0] for heading in headings] == ["robust"] * 3 + ["natural", "natural-again"]
    assert chart["facet"]["row"]["sort"] == headings


def test_what_each_attack_of_autoattack_sees(run):
    record = of(run, "attacks", "autoattack")
    only(run, record, dataclasses.replace(record, individual=True))
    figure = after_each([run])
    rows = [dict(zip(figure.columns, row)) for row in figure.rows]
    assert [row["each attack sees"] for row in rows] == [
        "images that the attacks before it did not break",
        "all images",
    ]
    assert {row["robust"] for row in rows} == {percent(record.robust_accuracy, record.num_images)}


def test_targets_are_named_by_their_folders(run):
    record = of(run, "transfer")
    itself, natural = record.matrix["itself"], (0.5,) * len(record.radii)
    names = ("itself", "runs/a/", "runs/b/x", "other/b/x")
    found = dataclasses.replace(
        record,
        matrix=dict.fromkeys(names, natural) | {"itself": itself},
        clean_accuracies=dict.fromkeys(names, 1.0),
    )
    rows = by_judge([only(run, found)]).chart.data.values
    assert list(dict.fromkeys(row["nets"] for row in rows)) == [
        "robust, on itself", "robust, on a", "robust, on runs/b/x", "robust, on other/b/x",
    ]  # fmt: skip
    assert [row["eps"] for row in rows if row["nets"] == "robust, on itself"] == [0, *record.radii]


def test_images_that_no_radius_fools_are_counted(run):
    record = of(run, "minimal")
    none = dataclasses.replace(record, least_radii=(None,) * record.num_images, seed=1)
    figure = radii_that_fool([only(run, record, none)])
    assert "robust, seed 1: 20 of 20)." in figure.caption
    figure = radii_that_fool([only(run, none)])
    assert figure.chart is None
    assert figure.caption == "Without the images that no radius fools (robust: 20 of 20)."


def test_short_names():
    assert short_names(["a/x/run", "b/x/run/", "/c"]) == ["a/x/run", "b/x/run", "c"]
    assert short_names(["run", "a/run"]) == ["run", "a/run"]
    assert short_names([".", "/"]) == [".", "/"]
