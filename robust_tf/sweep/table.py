"""What the cells of a sweep came to: one row for each combination of the grid, over its seeds."""

import csv
import statistics
from dataclasses import dataclass

from robust_tf.report.runs import read_run
from robust_tf.report.seeds import COLUMNS, attacked, measured, spread
from robust_tf.rundir import replace


@dataclass
class Combination:
    """varied: {flag: value}, "" where the flag means nothing. runs: those that are done. failed: why the others are
    not, or ""."""

    varied: dict
    runs: list
    failed: str


def finished(plan, cell):
    """The Run of a cell, with the sweep's own evaluations alone."""
    run = read_run(cell.name, plan.runs / cell.name)
    asked = [of.items() for of in plan.asked(cell)]
    run.evaluations = [record for record in run.evaluations if any(of <= record.items() for of in asked)]
    return run


def grouped(plan, failures):
    """The Combinations of a Plan's cells; failures: {cell's name: why}."""
    cells = plan.cells
    varied = list(dict.fromkeys(name for cell in cells for name in cell.varied))
    groups = {}
    for cell in cells:
        groups.setdefault(tuple(cell.varied.get(name, "") for name in varied), []).append(cell)
    return [
        Combination(
            dict(zip(varied, values)),
            [finished(plan, cell) for cell in group if cell.name not in failures],
            "; ".join(dict.fromkeys(failures[cell.name] for cell in group if cell.name in failures)),
        )
        for values, group in groups.items()
    ]


def table(groups):
    """(columns, rows) for people."""
    rows = [(*group.varied.values(), *spread(group.runs), group.failed) for group in groups]
    return (*groups[0].varied, *COLUMNS, "failed"), rows


def write_csv(path, groups):
    """The same for programs: means and standard deviations in columns of their own, accuracies as fractions."""
    quantities = list(measured([]))
    columns = [*groups[0].varied, "runs", *(f"{name}_{of}" for name in quantities for of in ("mean", "sd"))]
    rows = [[*columns, "worst_over", "failed"]]
    for group in groups:
        numbers = [each(values) for values in measured(group.runs).values() for each in (mean, deviation)]
        rows.append([*group.varied.values(), len(group.runs), *numbers, attacked(group.runs), group.failed])
    replace(path, lambda partial: write_rows(partial, rows))


def write_rows(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def mean(values):
    return statistics.fmean(values) if values else ""


def deviation(values):
    return statistics.stdev(values) if len(values) > 1 else ""
