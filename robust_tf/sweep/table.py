"""The results of a sweep: one row for each combination of the grid, over its seeds."""

import csv
import statistics
from dataclasses import dataclass

from robust_tf.evaluation.settings import fits
from robust_tf.files import replace
from robust_tf.report.runs import read_run
from robust_tf.report.seeds import COLUMNS, attacked, measured, spread


@dataclass
class Combination:
    """A combination of the grid.

    varied: {flag: value}, "" for a flag that does not apply. runs: the finished ReportedRuns. failed: why others
    failed, or "".
    """

    varied: dict
    runs: list
    failed: str


def finished(plan, cell):
    """The ReportedRun of a cell, with only the evaluations of the sweep."""
    run, configs = read_run(cell.name, plan.runs / cell.name), plan.evaluate_configs(cell)
    run.evaluations = {
        name: record for name, record in run.evaluations.items() if any(fits(record, config) for config in configs)
    }
    return run


def grouped(plan, failures):
    """The Combinations of a Plan's cells; failures: {name of the cell: reason}."""
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
    """(columns, rows) of text for the terminal."""
    rows = [(*group.varied.values(), *spread(group.runs), group.failed) for group in groups]
    return (*groups[0].varied, *COLUMNS, "failed"), rows


def write_csv(path, groups):
    """The same as numbers in a CSV file: a column for each mean and standard deviation, accuracies as fractions."""
    quantities = list(measured([]))
    columns = [
        *groups[0].varied,
        "runs",
        *(f"{name}_{statistic}" for name in quantities for statistic in ("mean", "sd")),
    ]
    rows = [[*columns, "worst_over", "failed"]]
    for group in groups:
        numbers = [each(values) for values in measured(group.runs).values() for each in (mean, deviation)]
        rows.append([*group.varied.values(), len(group.runs), *numbers, attacked(group.runs), group.failed])
    write_rows(path, rows)


def write_rows(path, rows):
    """Writes a CSV file; a reader sees the old file or the new one."""

    def write(partial):
        with partial.open("w", newline="") as file:
            csv.writer(file).writerows(rows)

    replace(path, write)


def mean(values):
    return statistics.fmean(values) if values else ""


def deviation(values):
    return statistics.stdev(values) if len(values) > 1 else ""
