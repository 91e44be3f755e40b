"""A run directory, read for the report: what is not there, or damaged, is named and not fatal."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

from robust_tf import rundir
from robust_tf.refusal import Refusal


@dataclass
class Run:
    """name: of its folder, unique in the report. history: rows of numbers, with `stage` a string. evaluations: records
    with `written`, the file's name. benchmarks: records of all benchmark*.json files. absent: lines about what is not
    there."""

    name: str
    path: Path
    config: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    evaluations: list = field(default_factory=list)
    manifest: dict = field(default_factory=dict)
    benchmarks: list = field(default_factory=list)
    absent: list = field(default_factory=list)

    def of_mode(self, mode):
        return [record for record in self.evaluations if record.get("mode") == mode]


def read_runs(workdirs):
    """A Run for each folder; raises Refusal for one that is no folder at all."""
    names = unique_names([Path(workdir) for workdir in workdirs])
    return [read_run(name, Path(workdir)) for name, workdir in zip(names, workdirs)]


def unique_names(paths):
    """The folders' names, with their parents' where two are alike."""
    names = [path.resolve().name for path in paths]
    return [
        name if names.count(name) == 1 else f"{path.resolve().parent.name}/{name}" for name, path in zip(names, paths)
    ]


def read_run(name, path):
    if not path.is_dir():
        raise Refusal(f"--workdir={path}: expected a run directory of bin/train; got none")
    run = Run(name, path)
    run.config = record(run, "config.json", "bin/train")
    run.summary = record(run, "summary.json", "bin/train")
    run.history = history(run)
    paths = sorted((path / "evaluation").glob("*.json"))
    found = [(file, record(run, f"evaluation/{file.name}", "bin/evaluate")) for file in paths]
    run.evaluations = [{**each, "written": file.stem} for file, each in found if each and fits(run, file.name, each)]
    if not paths:
        run.absent.append("evaluation/: no evaluation yet; bin/evaluate writes them")
    run.manifest = record(run, "export/manifest.json", "bin/export_tflite")
    benchmarks = sorted((path / "export").glob("benchmark*.json"))
    for file in benchmarks:
        run.benchmarks += record(run, f"export/{file.name}", "bin/benchmark", list)
    if not benchmarks:
        run.absent.append("export/benchmark.json: missing; bin/benchmark writes it")
    return run


NEEDED = ("norm", "eps", "attacks", "per_attack", "num_images", "clean_accuracy", "robust_accuracy")  # mode attacks


def fits(run, name, evaluation):
    """Whether an evaluation is whole and of the run's net as it is; else that is noted."""
    missing = [key for key in NEEDED if key not in evaluation] if evaluation.get("mode") == "attacks" else []
    net = run.path / "model.keras"
    if missing:
        run.absent.append(f"evaluation/{name}: damaged, without {missing[0]}; bin/evaluate writes it anew")
    elif net.exists() and evaluation.get("model_sha256", "") not in ("", rundir.digest(net)):
        run.absent.append(f"evaluation/{name}: of an earlier net; bin/evaluate writes it anew")
    else:
        return True
    return False


def record(run, name, command, kind=dict):
    """The JSON dict, or list, of a file of the run, empty where there is none."""
    if not (run.path / name).exists():
        run.absent.append(f"{name}: missing; {command} writes it")
        return kind()
    try:
        return rundir.read_json(run.path / name, kind)
    except Refusal:
        run.absent.append(f"{name}: damaged; {command} writes it anew")
        return kind()


def finite(text):
    return text.lower().lstrip("+-") not in ("nan", "inf", "infinity")


def history(run):
    """history.csv as rows of numbers; cells that are empty are left out."""
    path = run.path / "history.csv"
    if not path.exists():
        run.absent.append("history.csv: missing; bin/train writes it")
        return []
    try:
        with path.open(newline="") as file:
            return [
                {
                    key: value if key == "stage" else float(value)
                    for key, value in row.items()
                    if value and finite(value)
                }
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, csv.Error):
        run.absent.append("history.csv: damaged")
        return []
