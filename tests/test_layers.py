"""Packages import only lower packages, in the order of docs/architecture.md, and no import is circular."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"robust_tf": ROOT / "robust_tf", "robust_tf.export": ROOT / "export"}


def order():
    """The packages from low to high, in the order of the table in docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition("| package | what it holds |")[2].partition("\n\n")[0]
    return [name for row in table.splitlines()[2:] for name in re.findall("`([a-z_]+)`", row.split("|")[1])]


LEVELS = {package: level for level, package in enumerate(order())}


def sources():
    """(module, path) of every source file."""
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join((package, *parts)).removesuffix(".__init__"), path


MODULES = dict(sources())


def package_of(module):
    """The package of robust_tf that contains a module; "" for robust_tf itself."""
    return (module.split(".") + [""])[1]


def imported(path):
    """Modules of robust_tf that a file imports, at its top level or in functions."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in inner]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "robust_tf")


def test_the_table_names_every_package():
    assert set(LEVELS) == {package_of(module) for module in MODULES} - {""}


@pytest.mark.parametrize("module", [module for module in MODULES if package_of(module)])
def test_no_import_runs_upward(module):
    own = LEVELS[package_of(module)]
    for name in imported(MODULES[module]):
        if package_of(name) not in ("", package_of(module)):
            assert LEVELS[package_of(name)] < own, f"{module} imports {name}"


def test_no_import_runs_in_a_circle():
    """The __init__ of a package counts as a module."""
    left = {module: {name for name in imported(path) if name != module} for module, path in MODULES.items()}
    while left:
        free = {module for module, names in left.items() if not names & set(left)}
        assert free, f"a circle among {', '.join(sorted(left))}"
        left = {module: names for module, names in left.items() if module not in free}


def test_flags_import_no_configuration():
    for module, path in MODULES.items():
        if package_of(module) == "flags":
            assert {package_of(name) for name in imported(path)} <= {"flags", "refusal"}


def test_the_report_attacks_nothing():
    for module, path in MODULES.items():
        if package_of(module) == "report":
            assert not [name for name in imported(path) if package_of(name) in ("attacks", "certification")]
