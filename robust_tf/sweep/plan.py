"""What a sweep will do: checked as far as can be, before anything is written."""

import contextlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from robust_tf import rundir
from robust_tf.config import EvaluateConfig, ExportConfig, SweepConfig, TrainConfig, parse
from robust_tf.data import described
from robust_tf.evaluation.settings import settings
from robust_tf.refusal import Refusal
from robust_tf.sweep import grid
from robust_tf.sweep.job import Job

RECORD = "sweep.json"  # in the sweep's folder: its flags and cells


@dataclass(frozen=True)
class Plan:
    """A sweep as it will be done.

    config: SweepConfig. folder: absolute. starts, cells: see `grid`. evaluations: flags of bin/evaluate, a list for
    each; export: of bin/export_tflite.
    """

    config: SweepConfig
    folder: Path
    starts: list
    cells: list
    evaluations: list
    export: list

    @property
    def runs(self):
        return self.folder / "runs"

    def asked(self, cell):
        """What the records of the sweep's evaluations of a cell hold, a dict for each."""
        trained_as = rundir.as_json(parse(TrainConfig, grid.command_line(cell.flags)))
        found = []
        for words in self.evaluations:
            config = parse(EvaluateConfig, [*words, "--workdir=RUN"])
            images = {"num_images": config.num_images} if config.num_images else {}
            found.append({"mode": config.mode, **settings(config, trained_as), **images})
        return json.loads(json.dumps(found))

    def log(self, cell):
        return self.folder / "logs" / f"{cell.name}.log"

    def job(self, cell):
        """A start is only trained."""
        run = self.runs / cell.name
        train = command("train", *grid.command_line(cell.flags), f"--workdir={run}")
        later = [command("evaluate", *flags, f"--workdir={run}") for flags in self.evaluations]
        later.append(command("export_tflite", *self.export, f"--workdir={run}"))
        return Job(run, self.log(cell), [train] if cell in self.starts else [train, *later], Path.cwd())


def command(name, *flags):
    return ["-m", f"robust_tf.commands.{name}", *flags]


def plan(config, flags):
    """The Plan of a SweepConfig and bin/train's flags {name: text}; raises Refusal for what no run could be done with.

    Changes nothing.
    """
    for name, instead in (("dry_run", "bin/train --dry_run for one run"), ("seed", "--seeds=0,1,...")):
        if name in flags:
            raise Refusal(f"--{name}: expected {instead} in its place; got --{name}={flags[name]}")
    evaluations = [words_of("evaluate", text) for text in config.evaluate or ("",)]
    export = words_of("export", config.export or "")
    name = grid.short([flags, config.grid, config.seeds, evaluations, export])
    folder = Path(config.workdir or f"runs/sweep-{name}").absolute()
    foreign = not folder.is_dir() or any(path.name != rundir.LOCK for path in folder.iterdir())
    if folder.exists() and foreign and not (folder / RECORD).exists():
        raise Refusal(f"--workdir={folder}: expected a sweep's folder, an empty or a new one; got foreign files")
    values = grid.values_of(config.grid or ())
    starts, cells = grid.cells(flags, values, config.seeds, folder / "runs")
    for cell in [*starts, *(cell for cell in cells if not cell.refused)]:
        trained_as = parse(TrainConfig, [*grid.command_line(cell.flags), f"--workdir={folder / 'runs' / cell.name}"])
        described(trained_as.dataset, trained_as.data_dir, trained_as.image_size)
        rundir.claimable(trained_as)
        if trained_as.init_from and not cell.start:
            rundir.trained(trained_as.init_from, "init_from")
        if cell not in starts:
            check_later(evaluations, export, trained_as)
    return Plan(config, folder, starts, cells, evaluations, export)


def words_of(flag, text):
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Refusal(f"--{flag}: expected flags as in a shell; got {text!r} ({error})") from None


def check_later(evaluations, export, trained_as):
    """Raises Refusal for flags of bin/evaluate or bin/export_tflite that those would refuse."""
    for words in evaluations:
        with said_of("evaluate", words):
            config = parse(EvaluateConfig, [*words, "--workdir=RUN"])
            settings(config, rundir.as_json(trained_as))
            for run in [*(config.targets or ()), *([config.natural] if config.natural else ())]:
                rundir.trained(run, "targets" if config.targets else "natural")
    with said_of("export", export):
        parse(ExportConfig, [*export, "--workdir=RUN"])


@contextlib.contextmanager
def said_of(flag, words):
    """Refusals of these words say whose they are."""
    if any(word.lstrip("-").partition("=")[0] in ("workdir", "source") for word in words):
        raise Refusal(f"--{flag}: expected no --workdir, each run has its own; got {shlex.join(words)}")
    try:
        yield
    except Refusal as refusal:
        raise Refusal(f"--{flag}={shlex.join(words)}: {refusal}") from None
