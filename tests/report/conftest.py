"""The shared runs as the report sees them, and one page of all of them."""

import pytest

from robust_tf.flags.declare import parse
from robust_tf.report import SECTIONS
from robust_tf.report.config import ReportConfig
from robust_tf.report.page import drawn, report
from robust_tf.report.runs import read_runs

NAMES = ("robust", "natural", "natural-again")


@pytest.fixture
def robust(shared_runs):
    """The run directory with all parts; copy what a test changes."""
    return shared_runs / "robust"


@pytest.fixture
def runs(shared_runs):
    """All shared runs, read."""
    return read_runs([shared_runs / name for name in NAMES])


@pytest.fixture(scope="session")
def page(shared_runs, once):
    """The folder with report.html of all shared runs, and its figures in report/."""

    def make(folder):
        flags = [f"--workdir={shared_runs / name}" for name in NAMES]
        report(parse(ReportConfig, [*flags, f"--benchmarks={shared_runs / 'device.json'}", f"--out={folder}"]))

    return once("page", make)


@pytest.fixture(scope="session")
def figures_of():
    """figures_of(runs): what the sections draw of them, in the page's order."""
    return lambda runs: [
        figure for section in SECTIONS.values() for function in section.resolve() for figure in drawn(function, runs)
    ]
