"""The plan of a sweep: all flags are checked before anything is written."""

import contextlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from robust_tf.data import check_folder
from robust_tf.evaluation import MODES
from robust_tf.evaluation.config import EvaluateConfig, check_data_dir
from robust_tf.evaluation.settings import resolved
from robust_tf.export.config import ExportConfig
from robust_tf.flags.declare import parse
from robust_tf.flags.kinds import names_file
from robust_tf.refusal import Refusal
from robust_tf.sweep import grid
from robust_tf.sweep.config import SweepConfig
from robust_tf.sweep.job import Job
from robust_tf.training.config import TrainConfig, is_net
from robust_tf.training.rundir import LOCK, RunDirectory, imported_by

RECORD = "sweep.json"  # in the sweep's folder: flags and cells


@dataclass(frozen=True)
class Plan:
    """A planned sweep.

    config: SweepConfig. folder: an absolute path. starts, cells: see `grid`. evaluations: a list of flags of
    bin/evaluate for each evaluation, with {runs} and {seed} in them. export: flags of bin/export_tflite.
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

    def evaluate_configs(self, cell):
        """The resolved EvaluateConfig of each evaluation of a cell."""
        trained_as = parse(TrainConfig, grid.command_line(cell.flags))
        return [
            resolved(parse(EvaluateConfig, [*filled(words, cell, self.runs), "--workdir=RUN"]), trained_as)
            for words in self.evaluations
        ]

    def log(self, cell):
        return self.folder / "logs" / f"{cell.name}.log"

    def job(self, cell):
        """The Job of a cell, or of a start, which is only trained."""
        run = self.runs / cell.name
        workdir = f"--workdir={run}"
        train = command("train", *grid.command_line(cell.flags), workdir)
        export = command("export_tflite", *self.export, workdir)
        before, after = (
            [
                command("evaluate", *filled(words, cell, self.runs), workdir)
                for words in self.evaluations
                if reads_files(words) == reads
            ]
            for reads in (False, True)
        )
        commands = [train] if cell in self.starts else [train, *before, export, *after]
        return Job(run, self.log(cell), commands, Path.cwd())


def filled(words, cell, runs):
    """An evaluation's flags for a cell: {runs} is the folder of the sweep's runs, {seed} the cell's seed."""
    values = {"{runs}": str(runs), "{seed}": cell.flags["seed"]}
    for name, value in values.items():
        words = [word.replace(name, value) for word in words]
    return words


def reads_files(words):
    """Whether an evaluation reads exported files, as each mode with --file does; it then follows the export."""
    return "file" in MODES[parse(EvaluateConfig, [*words, "--workdir=RUN"]).mode].options


def command(name, *flags):
    return ["-m", f"robust_tf.commands.{name}", *flags]


def plan(config, flags):
    """The Plan of a SweepConfig and bin/train's flags {name: text}.

    Changes nothing. Raises Refusal where a command would refuse its flags.
    """
    for name, instead in (("dry_run", "bin/train --dry_run for one run"), ("seed", "--seeds=0,1,...")):
        if name in flags:
            raise Refusal(f"--{name}: expected {instead} instead; got --{name}={flags[name]}")
    evaluations = [words_of("evaluate", text) for text in config.evaluate or ("",)]
    export = words_of("export", config.export or "")
    name = grid.short([flags, config.grid, config.seeds, evaluations, export])
    folder = Path(config.workdir or f"runs/sweep-{name}").absolute()
    foreign = not folder.is_dir() or any(path.name != LOCK for path in folder.iterdir())
    if folder.exists() and foreign and not (folder / RECORD).exists():
        raise Refusal(f"--workdir={folder}: expected a sweep's folder, or an empty or new one; got foreign files")
    values = grid.values_of(config.grid or ())
    starts, cells = grid.cells(flags, values, config.seeds, folder / "runs")
    for cell in [*starts, *(cell for cell in cells if not cell.refused)]:
        trained_as = parse(TrainConfig, [*grid.command_line(cell.flags), f"--workdir={folder / 'runs' / cell.name}"])
        check_folder(trained_as)
        RunDirectory.for_config(trained_as)
        if names_file(trained_as.model) and not cell.start:
            imported_by(trained_as)
        if trained_as.init_from and not cell.start and not is_net(trained_as.init_from):
            RunDirectory.open(trained_as.init_from, "init_from")
        if cell not in starts:
            check_later([filled(words, cell, folder / "runs") for words in evaluations], export, trained_as)
    return Plan(config, folder, starts, cells, evaluations, export)


def words_of(flag, text):
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Refusal(f"--{flag}: expected flags as in a shell; got {text!r} ({error})") from None


def check_later(evaluations, export, trained_as):
    """Raises Refusal for flags that bin/evaluate or bin/export_tflite would refuse."""
    for words in evaluations:
        with flag_named("evaluate", words):
            config = parse(EvaluateConfig, [*words, "--workdir=RUN"])
            check_data_dir(config.data_dir, trained_as.dataset)
            resolved(config, trained_as)
            for run in [*(config.targets or ()), *([config.natural] if config.natural else ())]:
                RunDirectory.open(run, "targets" if config.targets else "natural")
    with flag_named("export", export):
        config = parse(ExportConfig, [*export, "--workdir=RUN"])
        check_data_dir(config.data_dir, trained_as.dataset)


@contextlib.contextmanager
def flag_named(flag, words):
    """Puts --FLAG=words before the message of a Refusal."""
    if any(word.lstrip("-").partition("=")[0] in ("workdir", "source") for word in words):
        raise Refusal(
            f"--{flag}: expected flags without --workdir or --source, as each run has its own; got {shlex.join(words)}"
        )
    try:
        yield
    except Refusal as refusal:
        raise Refusal(f"--{flag}={shlex.join(words)}: {refusal}") from None
