"""The tables in README.md and docs/reference.md match the registries."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_tables_are_as_the_registries_are():
    written = runpy.run_path(str(ROOT / "docs" / "reference.py"))
    hint = "bin/python docs/reference.py writes them anew"
    assert (ROOT / "docs" / "reference.md").read_text() == written["reference"](), hint
    assert (ROOT / "README.md").read_text() == written["filled"]((ROOT / "README.md").read_text()), hint
    assert written["BEGIN"].format("modes") in (ROOT / "README.md").read_text()
