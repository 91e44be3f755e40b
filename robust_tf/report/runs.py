"""Reads run directories for the report; missing or unusable files are listed, and are no error."""

from dataclasses import dataclass, field
from pathlib import Path

from robust_tf.drawing.figures import as_key
from robust_tf.drawing.words import short_names
from robust_tf.evaluation import MODES
from robust_tf.records.benchmark import Timings
from robust_tf.records.manifest import Manifest
from robust_tf.records.record import read, read_json
from robust_tf.records.summary import Summary
from robust_tf.refusal import Refusal
from robust_tf.report.labels import labels
from robust_tf.training.config import TrainConfig
from robust_tf.training.rundir import RunDirectory


@dataclass
class ReportedRun:
    """A run directory, as far as it can be read.

    name: of its folder, unique in the report. config, summary, manifest: None where there is no readable file.
    history: a HistoryRow for each epoch. evaluations: {stem of the file: record}, of the run's present net.
    timings: of all benchmark*.json files. absent: a line about each missing or unusable file.
    """

    name: str
    path: Path
    config: TrainConfig | None = None
    summary: Summary | None = None
    history: list = field(default_factory=list)
    evaluations: dict = field(default_factory=dict)
    manifest: Manifest | None = None
    timings: list = field(default_factory=list)
    absent: list = field(default_factory=list)

    def records(self, mode):
        """The records of an evaluation mode."""
        return [record for record in self.evaluations.values() if record.mode == mode]

    def labelled(self, mode):
        """[(label, record)] for the records of an evaluation mode; no two labels of a report are equal."""
        records = self.records(mode)
        return list(zip(labels(self.name, records), records))

    @property
    def key(self):
        """The name as part of the keys of figures."""
        return as_key(self.name)

    @property
    def files(self):
        """The files of the manifest."""
        return self.manifest.files if self.manifest else ()


def read_runs(workdirs):
    """A ReportedRun for each folder; raises Refusal where one is no folder, or is given twice."""
    paths = [Path(workdir).resolve() for workdir in workdirs]
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise Refusal(f"--workdir={workdirs[number]}: expected each run once; got it twice")
    return [read_run(name, Path(workdir)) for name, workdir in zip(short_names(paths), workdirs)]


def read_run(name, path):
    if not path.is_dir():
        raise Refusal(f"--workdir={path}: expected a run directory of bin/train; got none")
    run, folder = ReportedRun(name, path), RunDirectory(path)
    run.config = part(run, "config.json", "bin/train", lambda: folder.config)
    run.summary = part(run, "summary.json", "bin/train", folder.summary)
    run.history = part(run, "history.csv", "bin/train", folder.history) or []
    paths = sorted((path / "evaluation").glob("*.json"))
    digest = part(run, "model.keras", "bin/train", lambda: read_digest(folder))
    for file in paths:
        record = part(run, f"evaluation/{file.name}", "bin/evaluate", lambda file=file: read_evaluation(file))
        if record and digest and record.model_sha256 != digest:
            run.absent.append(f"evaluation/{file.name}: of an earlier net; bin/evaluate writes it again")
        elif record:
            run.evaluations[file.stem] = record
    if not paths:
        run.absent.append("evaluation/: no evaluation yet; bin/evaluate writes them")
    run.manifest = part(
        run, "export/manifest.json", "bin/export_tflite", lambda: read(folder.export / "manifest.json", Manifest)
    )
    if run.manifest and digest and run.manifest.model_sha256 not in (None, digest):
        run.absent.append("export/manifest.json: of an earlier net; bin/export_tflite writes it again")
        run.manifest = None
    benchmarks = sorted(folder.export.glob("benchmark*.json"))
    for file in benchmarks:
        found = part(run, f"export/{file.name}", "bin/benchmark", lambda file=file: read(file, Timings))
        run.timings += found.timings if found else ()
    if not benchmarks:
        run.absent.append("export/benchmark.json: missing; bin/benchmark writes it")
    return run


def add_timings(path, runs):
    """Gives the timings of a device's file to the runs whose exported files were timed, told by their digests.

    Raises Refusal where the file is no benchmark, or none of its timings is of a file of these runs.
    """
    timings, found = read(path, Timings).timings, False
    for run in runs:
        exported = {file.sha256 for file in run.files} - {None}
        ours = [timing for timing in timings if timing.sha256 in exported]
        run.timings += ours
        found |= bool(ours)
    if not found:
        names = ", ".join(dict.fromkeys(timing.file for timing in timings)) or "no timing"
        raise Refusal(f"--benchmarks={path}: expected timings of exported files of these runs; got {names}")


def part(run, name, command, read_it):
    """read_it(); None, and a line in run.absent, where the file is missing or unusable."""
    if not (run.path / name).exists():
        run.absent.append(f"{name}: missing; {command} writes it")
        return None
    try:
        return read_it()
    except Refusal as refusal:
        run.absent.append(f"{name}: cannot be used; {command} writes it again ({refusal})")
        return None


def read_digest(folder):
    """The digest of the run's net; raises Refusal where it cannot be read."""
    try:
        return folder.digest
    except OSError as error:
        raise Refusal(f"{folder.net_path}: expected a net of bin/train; got {error}") from None


def read_evaluation(path):
    """The record of an evaluation, of its mode's class; raises Refusal where the file has none."""
    values = read_json(path)
    mode = values.get("mode") if isinstance(values, dict) else None
    if not isinstance(mode, str) or mode not in MODES:
        raise Refusal(f"{path}: expected a record of a mode of bin/evaluate ({', '.join(MODES)}); got {mode!r}")
    return read(path, MODES[mode].Record)
