"""The page: all sections and figures of real runs, what it loads, what it escapes, and what it does not swallow."""

import dataclasses
import importlib
import json
import re
import shutil
from pathlib import Path

import pytest

from robust_tf.data import DATASETS
from robust_tf.drawing import papers
from robust_tf.drawing.figures import Missing
from robust_tf.drawing.papers import printed
from robust_tf.drawing.words import described, number, percent
from robust_tf.evaluation import MODES
from robust_tf.evaluation.modes.pictures import smallest
from robust_tf.evaluation.modes.quantised import as_printed
from robust_tf.flags.declare import parse
from robust_tf.models import MODELS
from robust_tf.records.record import write
from robust_tf.report import SECTIONS
from robust_tf.report.config import ReportConfig
from robust_tf.report.overview import overview
from robust_tf.report.page import drawn, report
from robust_tf.report.printed import beside_printed
from robust_tf.report.runs import read_evaluation, read_run
from robust_tf.report.strictest import strictest
from robust_tf.training.methods import METHODS


def without_scripts(html):
    return re.sub("<script.*?</script>", "", html, flags=re.S)


def charts_of(html):
    """{key: specification} of the page's charts, as a browser reads them."""
    found = re.search(r'<script id="charts" type="application/json">(.*?)</script>', html, re.S)[1]
    return json.loads(found, parse_constant=pytest.fail)


@pytest.mark.parametrize("name", MODES)
def test_every_mode_has_a_record_and_figures_that_need_it(robust, name):
    run = read_run("robust", robust)
    functions = MODES[name].resolve().FIGURES
    assert functions
    assert run.records(name), f"the shared runs are without --mode={name}"
    figures = [figure for function in functions for figure in drawn(function, [run])]
    assert [figure.title for figure in figures if isinstance(figure, Missing)] == []
    run.evaluations = {stem: record for stem, record in run.evaluations.items() if record.mode != name}
    run.manifest = None  # its certificates are those of --mode=certify
    left = [figure for function in functions for figure in drawn(function, [run])]
    assert [figure.title for figure in left if not isinstance(figure, Missing)] == []


def test_nothing_is_missing(page, runs, figures_of):
    markup = without_scripts((page / "report.html").read_text())
    for words in (
        "Missing:",
        "Missing or unusable files",
        "cannot be used",
        "cannot be read",
        "not as expected",
        "earlier net",
    ):
        assert words not in markup
    assert re.findall("<h2>(.*?)</h2>", markup) == list(SECTIONS)
    figures = figures_of(runs)
    assert [figure.title for figure in figures if isinstance(figure, Missing)] == []
    assert re.findall("<h3>(.*?)</h3>", markup) == [figure.title for figure in figures]
    keys = [figure.key for figure in figures]
    assert len(keys) == len(set(keys))
    of_robust = {f"training-robust-{what}" for what in ("accuracy", "loss", "eps", "k", "learning_rate", "admm")}
    assert set(keys) >= of_robust | {
        "overview", "flags", "seeds", "training-natural-loss", "attacks", "autoattack", "perturbed-robust",
        "smallest-1", "saliency", "accuracy-by-ratio", "trade-off", "weights", "kept-by-layer", "ranks", "bytes",
        "latency", "latency-loading", "compaction", "configuration",
    }  # fmt: skip


def test_figures_are_files_too(page, runs, figures_of):
    html = (page / "report.html").read_text()
    charts = charts_of(html)
    for figure in figures_of(runs):
        assert (figure.key in charts) == (figure.chart is not None)
        assert (f'id="chart-{figure.key}"' in html) == (figure.chart is not None)
        if figure.chart is not None or figure.pictures:
            assert (page / "report" / f"{figure.key}.png").read_bytes().startswith(b"\x89PNG")
            assert (page / "report" / f"{figure.key}.svg").read_text().startswith("<svg")


def test_the_page_loads_nothing(page):
    markup = without_scripts((page / "report.html").read_text())
    assert not re.search('(src|href)="(?!data:|#)', markup)
    assert "https://" not in re.sub('data:[^"]*', "", markup)
    assert not re.search("@import|url\\((?!data:)", markup)


def test_numbers_are_those_of_the_records(page, runs):
    """The curve's points; the runs' accuracies, weights, bytes and milliseconds."""
    robust = runs[0]
    (record,) = robust.records("curve")
    shown = [
        (row["eps"], row["accuracy"])
        for row in charts_of((page / "report.html").read_text())["curve"]["data"]["values"]
    ]
    assert shown == [(0, record.clean_accuracy), *((point.eps, point.accuracy) for point in record.curve)]
    figure = overview(runs)
    row = dict(zip(figure.columns, figure.rows[0]))
    record = strictest(robust)
    assert (row["run"], row["data, net, method"]) == ("robust", "digits lenet admm")
    assert row["weights"] == number(robust.summary.kernels_nonzero)
    assert (row["kept"], row["clean"]) == (
        percent(robust.summary.ratio),
        percent(record.clean_accuracy, record.num_images),
    )
    assert (row["robust"], row["attacks"]) == (percent(record.robust_accuracy, record.num_images), described(record))
    assert row["bytes of the smallest file"] == number(min(file.bytes for file in robust.manifest.files))
    alone = [each.median_ms for each in robust.timings if (each.protocol, each.batch) == ("memory", 1)]
    assert row["ms of the fastest file"] == number(min(alone))


def test_what_records_hold_is_escaped(robust, tmp_path):
    folder = tmp_path / "run"
    (folder / "evaluation").mkdir(parents=True)
    shutil.copy(robust / "config.json", folder)
    (path,) = (robust / "evaluation").glob("curve-*.json")
    record = dataclasses.replace(read_evaluation(path), flags=("an odd <sign> & </script>",))
    write(folder / "evaluation" / path.name, record)
    html = report(parse(ReportConfig, [f"--workdir={folder}"])).read_text()
    assert "an odd &lt;sign&gt; &amp; &lt;/script&gt;" in html
    assert "<sign>" not in html


def test_names_of_runs_are_escaped(robust, tmp_path):
    """In the markup, and in the charts, which stand in a script."""
    folder = tmp_path / "<b>&"
    (folder / "evaluation").mkdir(parents=True)
    (path,) = (robust / "evaluation").glob("curve-*.json")
    shutil.copy(path, folder / "evaluation")
    html = report(parse(ReportConfig, [f"--workdir={folder}", f"--out={tmp_path}"])).read_text()
    assert "<title>&lt;b&gt;&amp;</title>" in html
    assert "<b>&" not in without_scripts(html)
    assert charts_of(html)["curve"]["data"]["values"][0]["run"] == "<b>&"


@pytest.mark.parametrize("name", ["<!--<script>", "x" * 245, "ä" * 120])
def test_any_name_of_a_folder_can_be_drawn(robust, tmp_path, name):
    """A browser would read on past the charts' end after <!--<script>, and no name of a file has over 255 bytes."""
    folder = tmp_path / name
    (folder / "evaluation").mkdir(parents=True)
    (path,) = (robust / "evaluation").glob("pictures-*.json")
    for file in (robust / "history.csv", robust / "evaluation" / path.name, path.with_suffix(".npz")):
        shutil.copy(file, folder / file.relative_to(robust))
    html = report(parse(ReportConfig, [f"--workdir={folder}", f"--out={tmp_path}"])).read_text()
    assert "<" not in re.search('<script id="charts" type="application/json">(.*?)</script>', html, re.S)[1]
    assert [key for key in charts_of(html) if key.startswith("training-")]
    assert list((tmp_path / "report").glob("perturbed-*.png"))


def test_the_page_lies_in_the_first_run_by_default(robust, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(robust / "summary.json", folder)
    assert report(parse(ReportConfig, [f"--workdir={folder}"])) == folder / "report.html"
    assert (folder / "report" / "ranks.png").exists()


@pytest.mark.parametrize("name", SECTIONS)
def test_a_figure_that_fails_ends_the_report(robust, tmp_path, monkeypatch, name):
    """A mistake in the code of a figure is no property of the runs: it is told, with its traceback."""

    def wrong(runs):
        raise ZeroDivisionError("of this figure")

    module, _, attribute = SECTIONS[name].address.partition(":")
    monkeypatch.setattr(importlib.import_module(module), attribute, (wrong,))
    monkeypatch.setattr("robust_tf.report.page.SECTIONS", {name: SECTIONS[name]})
    with pytest.raises(ZeroDivisionError, match="of this figure"):
        report(parse(ReportConfig, [f"--workdir={robust}", f"--out={tmp_path}"]))
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("name", MODES)
def test_a_figure_of_a_mode_that_fails_ends_the_report(robust, monkeypatch, name):
    def wrong(runs):
        raise ZeroDivisionError("of this mode")

    monkeypatch.setattr(MODES[name].resolve(), "FIGURES", (wrong,))
    (function,) = SECTIONS["Evaluation"].resolve()
    with pytest.raises(ZeroDivisionError, match="of this mode"):
        drawn(function, [read_run("robust", robust)])


def test_what_the_papers_print():
    """Two rows read off the papers: thesis, table 4.2, MobileNetV2 at 10 %; Gui et al., table 7, ATMC at 1 %."""
    rows = printed("thesis_table_4_2")
    row = next(r for r in rows if (r["model"], r["train_eps"], r["kept"]) == ("mobilenet_v2", 0.1, 10))
    assert (row["clean"], row["autoattack"]) == (40.4, 24.0)
    row = next(r for r in printed("atmc_tables_3_to_6") if (r["model"], r["width"]) == ("mobilenet_v2", 1.4))
    assert (row["nonzero"], row["clean"], row["ifgsm"]) == (4376489, 0.9131, 0.7405)
    row = next(r for r in printed("thesis_table_c_1") if (r["model"], r["training"]) == ("resnet34", "combined"))
    assert (row["clean"], row["pgd"], row["cw"]) == (85.6, 82.2, 78.0)
    row = next(r for r in printed("atmc_tables_7_to_10") if (r["method"], r["ratio"]) == ("atmc", 0.01))
    assert (row["clean"], row["ifgsm"]) == (0.9061, 0.7087)
    assert (row["clean_8bit"], row["ifgsm_8bit"]) == (0.9054, 0.7079)


def test_nets_as_printed_stand_beside_a_run_of_such_a_net(runs):
    """Gui et al., table 1: LeNet on MNIST 99.32 %; table 2: ShuffleNet v2 at width 2, defended; thesis, table 4.1."""
    assert beside_printed(runs) == []
    own = percent(strictest(runs[0]).clean_accuracy)

    def rows_as(dataset, model, method, width=1.0):
        runs[0].config = dataclasses.replace(runs[0].config, dataset=dataset, model=model, method=method, width=width)
        found = beside_printed(runs)
        return [(row[1], row[2], row[3], row[6]) for row in found.rows] if found else []

    assert rows_as("mnist", "lenet", "natural") == [("Gui et al., table 1", own, "99.32%", "")]
    assert rows_as("cifar100", "resnet34", "natural") == [("thesis, table 4.1", own, "72.80%", "")]
    assert rows_as("cifar10", "shufflenet_v2", "da", 2.0) == [("Gui et al., table 2", own, "89.96%", "72.92%")]
    assert rows_as("cifar10", "shufflenet_v2", "da", 1.0) == rows_as("mnist", "lenet", "da") == []


def test_every_printed_net_can_be_trained():
    """Its data set, architecture and method are names that bin/train knows."""
    for table in json.loads((Path(papers.__file__).parent / "papers.json").read_text()).values():
        for row in table:
            assert row["dataset"] in DATASETS
            assert row["model"] in MODELS
            assert row.get("method", "da") in METHODS


def test_smallest_perturbations_of_several_runs_stand_side_by_side(shared_runs):
    """One panel for runs with the same images; another for other images."""
    first, second = (read_run(name, shared_runs / "robust") for name in ("first", "second"))
    (figure,) = smallest([first, second])
    assert [label for label, _ in figure.pictures] == ["no attack", "first", "second"]
    (record,) = first.records("pictures")
    texts = [text for _, text, _ in figure.pictures[1][1]]
    assert [text.rpartition(", ")[2] for text in texts] == [
        "none" if radius is None else f"{radius:.3g}" for radius in record.least_radii
    ]
    (stem,) = [stem for stem, each in second.evaluations.items() if each is second.records("pictures")[0]]
    second.evaluations[stem] = dataclasses.replace(record, norm="l2")
    assert [len(figure.pictures) for figure in smallest([first, second])] == [2, 2]


def test_8_bit_nets_as_printed_stand_beside_a_run_of_such_a_net(runs):
    assert as_printed(runs) == []
    runs[0].config = dataclasses.replace(runs[0].config, dataset="cifar10", model="resnet34")
    (figure,) = as_printed(runs)
    assert len(figure.rows) == 22
    assert ("resnet34", "ap", "1.0%", "90.11%", "69.01%", "15.40%", "1.78%") in [tuple(row) for row in figure.rows]
