"""The page in a browser: every chart is drawn, and the console stays silent."""

import re
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def opened(path):
    """(DOM after the scripts, lines of the console) of a page."""
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += ["--virtual-time-budget=20000", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_charts_are_drawn_and_nothing_is_wrong(page, runs, figures_of, tmp_path):
    broken = tmp_path / "broken.html"
    broken.write_text("<script>absent()</script>")
    if not opened(broken)[1]:
        pytest.skip("this Chromium does not tell what the console says")
    dom, console = opened(page / "report.html")
    assert console == []
    charts = re.findall('<div class="chart wide[^"]*" id="chart-([^"]+)"[^>]*>(.{0,200})', dom, re.S)
    assert [key for key, _ in charts] == [figure.key for figure in figures_of(runs) if figure.chart is not None]
    assert [key for key, content in charts if "chart-wrapper" not in content] == []
