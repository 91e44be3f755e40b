"""report(config): the runs' figures as one HTML file that needs no network, and as PNG and SVG files."""

import datetime
import io
import json
from pathlib import Path

import jinja2
import vl_convert
from PIL import Image

from robust_tf import rundir
from robust_tf.report import SECTIONS
from robust_tf.report.figures import Missing, data_uri, panel
from robust_tf.report.runs import read_runs
from robust_tf.terminal import progress_bar


def report(config):
    """Writes report.html and report/*.png|svg into --out, by default the first run; returns the page's path."""
    runs = read_runs(config.workdir)
    for path in config.benchmarks or ():
        runs[0].benchmarks += rundir.read_json(path, list)
    out = Path(config.out or config.workdir[0])
    out.mkdir(parents=True, exist_ok=True)
    folder = rundir.subfolder(out, "report")
    sections, charts = [], {}
    with progress_bar() as progress:
        task = progress.add_task("report", total=len(SECTIONS), unit="sections")
        for title, section in SECTIONS.items():
            figures = [figure for function in section.resolve() for figure in drawn(function, runs)]
            sections.append((title, [shown_if_it_can_be(figure, folder, charts) for figure in figures]))
            progress.advance(task)
    html = template().render(
        title=", ".join(run.name for run in runs),
        sections=sections,
        charts=json.dumps(charts).replace("</", "<\\/"),
        javascript=vl_convert.javascript_bundle(),
        written=datetime.datetime.now().isoformat(" ", "minutes"),
    )
    path = out / "report.html"
    rundir.replace(path, lambda partial: partial.write_text(html))
    return path


def drawn(function, runs):
    """The figures of a function; a Missing where the records are of another version, or not what they should be."""
    try:
        found = function(runs)
    except Exception as error:  # one odd number in one of many runs must not cost the page
        found = odd(function.__name__.replace("_", " ").capitalize(), error)
    return found if isinstance(found, list) else [found]


def odd(title, error):
    return Missing(title, f"the records are not as expected ({type(error).__name__}: {error})")


def shown_if_it_can_be(figure, folder, charts):
    try:
        return shown(figure, folder, charts)
    except OSError:
        raise  # a full disk
    except Exception as error:  # numbers that no chart holds
        return shown(odd(figure.title, error), folder, charts)


def template():
    environment = jinja2.Environment(loader=jinja2.PackageLoader("robust_tf.report", "."), autoescape=True)
    return environment.get_template("page.html")


def shown(figure, folder, charts):
    """What the template needs of a Figure; its chart is also written to files, and collected in `charts`."""
    if isinstance(figure, Missing):
        return {"title": figure.title, "missing": figure.why}
    found = {"key": figure.key, "title": figure.title, "caption": figure.caption}
    if figure.chart is not None:
        spec = figure.chart.to_dict()
        json.dumps(spec, allow_nan=False)  # raises ValueError for what a browser could not read
        found["svg"] = data_uri("image/svg+xml", written(figure.key, spec, folder).encode())
        charts[figure.key] = spec
    if figure.columns:
        found |= {"columns": figure.columns, "rows": figure.rows}
    if figure.pictures:
        written(figure.key, panel(figure.pictures).to_dict(), folder)
    found["pictures"] = [
        (label, [(data_uri("image/png", png), said, right) for png, said, right in images])
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
