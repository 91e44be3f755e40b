"""results.csv and epochs.csv: the numbers of each run of a sweep, one to a row, for other programs."""

from dataclasses import asdict, fields

import msgspec

from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.records.history import FIELDS
from robust_tf.report.runs import ReportedRun, read_run
from robust_tf.sweep.table import finished, write_rows

SETTINGS = {field.name: field.metadata["kind"] for field in fields(EvaluateConfig) if field.name != "mode"}
LONGEST = 32  # longer lists, of single images, stay in the record alone


def write_results(folder, plan, failures):
    """Writes both files into `folder`; failures: {name of a cell: reason}.

    results.csv has a row for each number of a summary and of an evaluation: the values of the grid, the method, the
    seed, which record holds the number, the settings of the evaluation, the name of the quantity and its value. Of a
    cell it has the evaluations of the sweep, of a dense start all that its folder holds. epochs.csv has a row for each
    epoch, with the columns of history.csv.
    """
    runs = [(cell, finished(plan, cell)) for cell in plan.cells if cell.name not in failures]
    runs += [(start, run) for start in plan.starts if (run := read_start(plan, start)).summary]
    names = list(dict.fromkeys([*(name for cell in plan.cells for name in cell.varied), "method", "seed"]))
    results, epochs = [], []
    for cell, run in runs:
        which = [cell.varied.get(name, cell.flags.get(name, "")) for name in names]
        results += [[*which, "summary", "", *each] for each in numbers(run.summary)]
        for record in run.evaluations.values():
            results += [[*which, record.mode, settings(record), *each] for each in numbers(record)]
        epochs += [[*which, *asdict(row).values()] for row in run.history]
    write_rows(folder / "results.csv", [[*names, "record", "settings", "quantity", "value"], *results])
    write_rows(folder / "epochs.csv", [[*names, *FIELDS], *epochs])


def read_start(plan, start):
    """The ReportedRun of a dense start, empty where it has not been trained."""
    path = plan.runs / start.name
    return read_run(start.name, path) if path.is_dir() else ReportedRun(start.name, path)


def settings(record):
    """ "eps=0.3 steps=100 ...": the flags of bin/evaluate that are in the record."""
    given = {name: getattr(record, name, None) for name in SETTINGS}
    texts = {name: SETTINGS[name].write(value) for name, value in given.items() if value is not None}
    return " ".join(f"{name}={text}" for name, text in [*texts.items(), *(record.further or {}).items()])


def numbers(record):
    """[(name, value)] of the numbers of a record that are no settings; parts of a name are separated by dots."""
    values = {name: value for name, value in msgspec.to_builtins(record).items() if name not in (*SETTINGS, "further")}
    return list(flat(values, ""))


def flat(value, name):
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value
    parts = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list | tuple) and len(value) <= LONGEST:
        parts = enumerate(value)
    for key, part in parts:
        yield from flat(part, f"{name}.{key}" if name else str(key))
