"""report(config): the runs' figures as one HTML file that needs no network, and as PNG and SVG files."""

import datetime
import io
import json
from pathlib import Path

import jinja2
import vl_convert
from PIL import Image

from robust_tf import files
from robust_tf.drawing.figures import Missing, data_uri, panel
from robust_tf.report import SECTIONS
from robust_tf.report.runs import add_timings, read_runs
from robust_tf.terminal import progress_bar


def report(config):
    """Writes report.html and report/*.png|svg into --out, by default the first run; returns the page's path."""
    runs = read_runs(config.workdir)
    for path in config.benchmarks or ():
        add_timings(path, runs)
    out = Path(config.out or config.workdir[0])
    out.mkdir(parents=True, exist_ok=True)
    folder = files.subfolder(out, "report")
    sections, charts = [], {}
    with progress_bar() as progress:
        task = progress.add_task("report", total=len(SECTIONS), unit="sections")
        for title, section in SECTIONS.items():
            figures = [figure for function in section.resolve() for figure in drawn(function, runs)]
            sections.append((title, [shown(figure, folder, charts) for figure in figures]))
            progress.advance(task)
    html = template().render(
        title=", ".join(run.name for run in runs),
        sections=sections,
        charts=json.dumps(charts).replace("<", "\\u003c"),  # no run's name may end or open a script
        javascript=vl_convert.javascript_bundle(),
        written=datetime.datetime.now().isoformat(" ", "minutes"),
    )
    path = out / "report.html"
    files.write_text(path, html)
    return path


def drawn(function, runs):
    """The figures of a function, as a list."""
    found = function(runs)
    return found if isinstance(found, list) else [found]


def template():
    environment = jinja2.Environment(loader=jinja2.PackageLoader("robust_tf.report", "."), autoescape=True)
    return environment.get_template("page.html")


def shown(figure, folder, charts):
    """A Figure as the template needs it; writes its chart to files, and adds it to `charts`."""
    if isinstance(figure, Missing):
        return {"title": figure.title, "missing": figure.why}
    found = {"key": figure.key, "title": figure.title, "caption": figure.caption}
    if figure.chart is not None:
        spec = figure.chart.to_dict()
        json.dumps(spec, allow_nan=False)  # raises ValueError for numbers that a browser cannot read
        found["svg"] = data_uri("image/svg+xml", written(figure.key, spec, folder).encode())
        charts[figure.key] = spec
    if figure.columns:
        found |= {"columns": figure.columns, "rows": figure.rows}
    if figure.pictures:
        written(figure.key, panel(figure.pictures).to_dict(), folder)
    found["pictures"] = [
        (label, [(data_uri("image/png", png), caption, correct) for png, caption, correct in images])
        for label, images in figure.pictures
    ]
    return found


def written(key, spec, folder):
    """Writes KEY.svg and KEY.png of a chart; returns the SVG."""
    svg = vl_convert.vegalite_to_svg(spec)
    (folder / f"{key}.svg").write_text(svg)
    png = Image.open(io.BytesIO(vl_convert.vegalite_to_png(spec, scale=2)))
    png.convert("RGB").save(folder / f"{key}.png", optimize=True)  # a fifth of the bytes
    return svg
