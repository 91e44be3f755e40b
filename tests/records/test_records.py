"""Records: what commands wrote reads back, and what does not fit is refused in one line."""

import dataclasses
import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_tf.flags.text import as_json
from robust_tf.records.benchmark import Timing, Timings
from robust_tf.records.evaluation import Ensemble
from robust_tf.records.history import FIELDS, HistoryRow, read_history, write_history
from robust_tf.records.manifest import Manifest
from robust_tf.records.record import read, write
from robust_tf.records.summary import Summary
from robust_tf.records.sweep import Done, Sweep, SweptCell
from robust_tf.refusal import Refusal
from robust_tf.report.runs import read_evaluation
from robust_tf.training.rundir import RunDirectory

FILES = {"summary.json": Summary, "export/manifest.json": Manifest, "export/benchmark.json": Timings}


@pytest.fixture
def robust(shared_runs):
    return shared_runs / "robust"


def values_in(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", FILES)
def test_what_the_commands_wrote_reads_back(robust, tmp_path, name):
    write(tmp_path / "again.json", read(robust / name, FILES[name]))
    assert values_in(tmp_path / "again.json") == values_in(robust / name)


def test_every_evaluation_reads_back(robust, tmp_path):
    paths = list((robust / "evaluation").glob("*.json"))
    assert len(paths) > 10
    for path in paths:
        write(tmp_path / "again.json", read_evaluation(path))
        assert values_in(tmp_path / "again.json") == values_in(path)


def test_the_history_reads_back(robust, tmp_path):
    rows = read_history(robust / "history.csv")
    assert [row.epoch for row in rows] == list(range(6))
    write_history(tmp_path / "again.csv", rows)
    assert (tmp_path / "again.csv").read_bytes() == (robust / "history.csv").read_bytes()


NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.builds(
    HistoryRow,
    epoch=st.integers(0, 10**6),
    stage=st.sampled_from(["dense", "a, b", '"quoted"']),
    **{name: NUMBERS for name in FIELDS if name not in ("epoch", "stage")},
)


@given(st.lists(ROWS, max_size=2))
@settings(max_examples=30)
def test_any_history_reads_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("history") / "history.csv"
    write_history(path, rows)
    assert read_history(path) == rows


def test_a_sweeps_records_read_back(tmp_path):
    cell = SweptCell(
        name="a", flags={"eps": "0.1"}, varied={}, without=("rho",), refused="", start="", failed="no memory"
    )
    for record in (Sweep(seeds=(0, 1), jobs=2, cells=(cell,)), Done(commands={"bin/train": "0" * 64})):
        write(tmp_path / "a.json", record)
        assert read(tmp_path / "a.json", type(record)) == record


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"record_version": 4}, "expected the record Summary of version 3 or before; got version 4"),
        ({"record_version": "2"}, "got version '2'"),
        ({"record_version": 0}, "got version 0"),
        ({"accuracy": 0.5}, "expected the fields of a Summary record; got 'accuracy'"),
        ({"clean_accuracy": 1.5}, r"clean_accuracy"),
        ({"clean_accuracy": "high"}, r"clean_accuracy"),
        ({"kernels_nonzero": -1}, r"kernels_nonzero"),
        ({"class_names": "ab"}, r"class_names"),
        ({"layers": [{"layer": "a"}]}, r"layers\[0\]"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(robust, tmp_path, changed, message):
    path = tmp_path / "summary.json"
    path.write_text(json.dumps({**values_in(robust / "summary.json"), **changed}))
    with pytest.raises(Refusal, match=message) as refusal:
        read(path, Summary)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "1", "null", '"a"', "\x00", "[" * 100_000])
def test_what_is_no_record_is_refused(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    for Type in (Summary, Manifest, Ensemble, Done):
        with pytest.raises(Refusal):
            read(path, Type)


def test_a_field_that_is_missing_is_named(robust, tmp_path):
    values = values_in(robust / "summary.json")
    del values["kernels_total"]
    (tmp_path / "a.json").write_text(json.dumps(values))
    with pytest.raises(Refusal, match="kernels_total"):
        read(tmp_path / "a.json", Summary)


def test_numbers_that_are_none_are_not_written(robust, tmp_path):
    """And the file that was there stays."""
    path = tmp_path / "a.json"
    record = read(robust / "summary.json", Summary)
    write(path, record)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(path, dataclasses.replace(record, seconds=float("nan")))
    assert path.read_bytes() == before


class TestTheLayoutBeforeThereWereVersions:
    """Each file as the project wrote it then; the report and later commands read it."""

    def test_timings_were_a_bare_list(self, robust, tmp_path):
        record = read(robust / "export" / "benchmark.json", Timings)
        (tmp_path / "a.json").write_text(json.dumps(values_in(robust / "export" / "benchmark.json")["timings"]))
        assert read(tmp_path / "a.json", Timings) == record
        assert all(isinstance(timing, Timing) for timing in record.timings)

    def test_an_ensemble_named_its_nets_in_words(self, robust, tmp_path):
        (path,) = (robust / "evaluation").glob("ensemble-*.json")
        values = values_in(path)
        del values["record_version"]
        on = values["crafted_on"]
        values["crafted_on"] = {"the natural net": on["natural"], "the robust net": on["robust"]}
        values["crafted_on"]["the ensemble"] = on["ensemble"]
        (tmp_path / "a.json").write_text(json.dumps(values))
        assert read_evaluation(tmp_path / "a.json") == read_evaluation(path)

    def test_natural_training_was_called_normal(self, shared_runs, tmp_path):
        run = RunDirectory(shutil.copytree(shared_runs / "natural", tmp_path / "run"))
        expected = run.summary(), run.config
        summary = values_in(run.summary_path)
        del summary["record_version"]
        run.summary_path.write_text(json.dumps({**summary, "method": "normal"}))
        (run.path / "config.json").write_text(json.dumps({**as_json(run.config), "method": "normal"}))
        again = RunDirectory(run.path)
        assert (again.summary(), again.config) == expected
        same = dataclasses.replace(again.config, workdir=str(run.path))
        assert RunDirectory.for_config(same).path == run.path  # the same command resumes it

    def test_the_full_rank_of_a_factor_was_called_of(self, robust, tmp_path):
        values = values_in(robust / "summary.json")
        row = {"layer": "a", "U": 1, "V": 2, "C": 0, "rank_U": 1, "rank_V": 1}
        factors = {"nonzero": 3, "nonzero_literal": 4}
        values |= {"record_version": 2, "factors": factors | {"layers": [row | {"of": 8}, {"layer": "b", "W": 5}]}}
        (tmp_path / "a.json").write_text(json.dumps(values))
        first, second = read(tmp_path / "a.json", Summary).factors.layers
        assert (first.full_rank, second.full_rank) == (8, None)
        for damaged in (1, [], {"layers": 1}, {"layers": [1]}):
            (tmp_path / "a.json").write_text(json.dumps(values | {"factors": damaged}))
            with pytest.raises(Refusal, match="factors"):
                read(tmp_path / "a.json", Summary)

    def test_a_cell_of_a_sweep_listed_its_commands_alone(self, tmp_path):
        (tmp_path / "done.json").write_text('{"bin/train": "abc"}')
        assert read(tmp_path / "done.json", Done) == Done(commands={"bin/train": "abc"})
