"""The report: every figure has its numbers or is named as missing; one page that loads nothing from elsewhere."""

import json
import re
import shutil

import pytest

from robust_tf.config import ReportConfig, parse
from robust_tf.refusal import Refusal
from robust_tf.report import SECTIONS
from robust_tf.report.figures import Missing
from robust_tf.report.page import drawn, report
from robust_tf.report.papers import printed
from robust_tf.report.runs import read_runs
from robust_tf.rundir import write_json


def figures(runs):
    return [
        figure for section in SECTIONS.values() for function in section.resolve() for figure in drawn(function, runs)
    ]


def test_every_figure_of_a_whole_run(whole, tmp_path):
    smaller = shutil.copytree(whole, tmp_path / "b")
    summary = json.loads((smaller / "summary.json").read_text())
    write_json(smaller / "summary.json", {**summary, "ratio": 0.1})
    config = json.loads((smaller / "config.json").read_text())
    write_json(smaller / "config.json", {**config, "seed": 1})
    found = figures(read_runs([whole, smaller]))
    assert [figure.title for figure in found if isinstance(figure, Missing)] == []
    keys = [figure.key for figure in found]
    assert len(keys) == len(set(keys))
    assert {"curve", "autoattack", "accuracy-by-ratio", "trade-off", "weights", "latency", "flags"} <= set(keys)


def test_the_page_loads_nothing_and_escapes(whole, tmp_path):
    path = report(parse(ReportConfig, [f"--workdir={whole}", f"--out={tmp_path}"]))
    html = path.read_text()
    markup = re.sub("<script.*?</script>", "", html, flags=re.S)
    assert not re.search('(src|href)="(?!data:|#)', markup)
    assert "https://" not in re.sub('data:[^"]*', "", markup)
    assert "odd &lt;sign&gt;" in html
    assert "odd <sign>" not in html
    charts = json.loads(re.search(r'<script id="charts" type="application/json">(.*?)</script>', html, re.S)[1])
    assert charts["curve"]["data"]["values"][-1]["accuracy"] == 0.5
    for key in charts:
        assert f'id="chart-{key}"' in html
        assert (tmp_path / "report" / f"{key}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "report" / f"{key}.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    "name",
    [
        "config.json", "summary.json", "history.csv", "model.keras", "evaluation", "export", "export/sample.npz",
        "export/manifest.json", "export/benchmark.json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["absent", "damaged", "foreign"])
def test_parts_that_are_missing_are_named(whole, tmp_path, name, damage):
    run = shutil.copytree(whole, tmp_path / "a")
    path = run / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if damage != "absent" and path.suffix:
        path.write_text({"damaged": '{"', "foreign": "[]" if name != "history.csv" else "a,b\n1,x"}[damage])
    found = figures(read_runs([run]))
    assert any(isinstance(figure, Missing) for figure in found) or name in ("config.json", "summary.json")


def test_an_odd_number_costs_one_figure(whole, tmp_path):
    """A layer without weights, a loss that is no number, an evaluation without its figures, one of an earlier net."""
    run = shutil.copytree(whole, tmp_path / "a")
    summary = json.loads((run / "summary.json").read_text())
    summary["layers"].append({"layer": "empty", "kernels": 0, "nonzero": 0, "rank": 0})
    write_json(run / "summary.json", summary)
    write_json(run / "evaluation" / "bare.json", {"mode": "attacks"})
    stale = json.loads((run / "evaluation" / "attacks.json").read_text())
    write_json(run / "evaluation" / "stale.json", {**stale, "robust_accuracy": 0.99, "model_sha256": "0" * 64})
    with (run / "history.csv").open("a") as file:
        file.write("\n2,dense,nan,inf\n")
    html = report(parse(ReportConfig, [f"--workdir={run}"])).read_text()
    assert "ZeroDivisionError" in html
    assert "evaluation/bare.json: damaged, without norm" in html
    assert "evaluation/stale.json: of an earlier net" in html
    assert "99.00%" not in html
    charts = re.search(r'<script id="charts" type="application/json">(.*?)</script>', html, re.S)[1]
    assert json.loads(charts, parse_constant=pytest.fail)


def test_no_run_at_all(tmp_path):
    with pytest.raises(Refusal, match="expected a run directory of bin/train; got none"):
        read_runs([tmp_path / "absent"])
    found = figures(read_runs([tmp_path]))
    (absent,) = [figure for figure in found if getattr(figure, "key", "") == "absent"]
    assert len(absent.rows) == 6


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
