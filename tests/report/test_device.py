"""Timings: every batch size, both protocols, and those of further devices."""

import pytest

from robust_tf.drawing.figures import Missing
from robust_tf.records.benchmark import Timings
from robust_tf.records.record import read
from robust_tf.refusal import Refusal
from robust_tf.report.device import latency
from robust_tf.report.runs import add_timings, read_run


@pytest.fixture
def run(robust):
    return read_run("robust", robust)


def bars(figure):
    return figure.chart.data.values


def test_batches_of_1_and_of_100_under_both_protocols(run):
    figures = latency([run])
    assert [figure.key for figure in figures] == ["latency", "latency-loading"]
    for figure, protocol in zip(figures, ("memory", "loading")):
        timed = [timing for timing in run.timings if timing.protocol == protocol]
        assert {timing.batch for timing in timed} == {1, 100}
        shown = [(row["file"], row["where"].rpartition(" ")[2], row["ms"], row["p90"]) for row in bars(figure)]
        assert shown == [
            (
                "robust, " + timing.file.removeprefix("model_").removesuffix(".tflite"),
                str(timing.batch),
                timing.median_ms / timing.batch,
                timing.p90_ms / timing.batch,
            )
            for timing in timed
        ]
        assert len({(row["file"], row["where"]) for row in bars(figure)}) == 2 * len(run.files)


def test_further_devices_are_further_bars(run, shared_runs):
    before = [len(bars(figure)) for figure in latency([run])]
    run.timings += read(shared_runs / "device.json", Timings).timings
    for figure, count in zip(latency([run]), before):
        *_, last = bars(figure)
        assert len(bars(figure)) == count + 1
        assert (last["file"], "threads 2" in last["where"]) == ("robust, int8", True)


def test_timings_go_to_the_runs_whose_files_were_timed(run, shared_runs):
    device, before = shared_runs / "device.json", len(run.timings)
    natural = read_run("natural", shared_runs / "natural")
    theirs = list(natural.timings)
    add_timings(device, [natural, run])
    assert natural.timings == theirs
    assert run.timings[before:] == list(read(device, Timings).timings) != []
    with pytest.raises(Refusal, match=r"expected timings of exported files of these runs; got model_int8\.tflite"):
        add_timings(device, [natural])


def test_a_protocol_that_was_not_timed_has_no_figure(run):
    run.timings = [timing for timing in run.timings if timing.protocol == "memory"]
    assert [figure.key for figure in latency([run])] == ["latency"]
    run.timings = []
    assert isinstance(latency([run]), Missing)
