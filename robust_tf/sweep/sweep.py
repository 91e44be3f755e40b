"""sweep(plan): a grid's runs, as many at once as asked, a table of mean and spread over seeds, and one report."""

import concurrent.futures
import hashlib
import json
import shlex
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from robust_tf import rundir
from robust_tf.config import EvaluateConfig, ExportConfig, SweepConfig, TrainConfig, parse
from robust_tf.data import described
from robust_tf.evaluation.settings import settings
from robust_tf.refusal import Refusal
from robust_tf.report.overview import strictest
from robust_tf.report.runs import read_run
from robust_tf.sweep import grid
from robust_tf.sweep.engines import Cluster, Local
from robust_tf.sweep.job import Job, execute, last_line, why
from robust_tf.sweep.table import grouped, table, write_csv
from robust_tf.terminal import progress_bar


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
    if "dry_run" in flags:
        raise Refusal("--dry_run: expected none, bin/train takes it; got one")
    evaluations = [words_of("evaluate", text) for text in config.evaluate or ("",)]
    export = words_of("export", config.export or "")
    asked = [config.grid, config.seeds, evaluations, export]
    name = hashlib.sha256(json.dumps([flags, *asked]).encode()).hexdigest()[:8]
    folder = Path(config.workdir or f"runs/sweep-{name}").absolute()
    if folder.exists() and not (folder / "sweep.json").exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refusal(f"--workdir={folder}: expected a sweep's folder, an empty or a new one; got foreign files")
    values = grid.values_of(config.grid or ())
    starts, cells = grid.cells(flags, values, config.seeds, folder / "runs")
    for cell in [*starts, *(cell for cell in cells if not cell.refused)]:
        trained_as = parse(TrainConfig, [*grid.command_line(cell.flags), f"--workdir={folder / 'runs' / cell.name}"])
        described(trained_as.dataset, trained_as.data_dir, trained_as.image_size)
        rundir.claimable(trained_as)
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
    for words in [*evaluations, export]:
        if any(word.lstrip("-").partition("=")[0] == "workdir" for word in words):
            raise Refusal("--evaluate, --export: expected no --workdir, each run has its own; got one")
    for words in evaluations:
        settings(parse(EvaluateConfig, [*words, "--workdir=RUN"]), rundir.as_json(trained_as))
    parse(ExportConfig, [*export, "--workdir=RUN"])


def sweep(plan):
    """Does what is not done yet; returns the number of cells that failed."""
    console = Console(highlight=False, soft_wrap=True)
    failures = {cell.name: cell.refused for cell in plan.cells if cell.refused}
    try:
        (plan.folder / "logs").mkdir(parents=True, exist_ok=True)
        plan.runs.mkdir(exist_ok=True)
        write_record(plan, failures)
    except OSError as error:
        raise Refusal(f"--workdir={plan.folder}: expected a writable folder; got {error}") from None
    show_plan(plan, console)
    address, jobs = plan.config.ray_address, plan.config.jobs
    engine = Cluster(address, jobs) if address else Local(jobs)
    try:
        failures |= work(plan, engine, console)
    finally:
        engine.stop()
    groups = grouped(plan.cells, failures, plan.runs)
    write_csv(plan.folder / "table.csv", groups)
    write_record(plan, failures)
    show(*table(groups), console)
    report(plan, [cell for cell in plan.cells if cell.name not in failures], console)
    return len(failures)


def write_record(plan, failures):
    """sweep.json: the sweep's flags and its cells."""
    cells = [{**asdict(cell), "failed": failures.get(cell.name, "")} for cell in plan.cells]
    rundir.write_json(plan.folder / "sweep.json", {**asdict(plan.config), "cells": cells})


def work(plan, engine, console):
    """Runs the jobs, those of a common start after it; returns {name: why} of the cells that failed."""
    ready = [*plan.starts, *(cell for cell in plan.cells if not cell.start and not cell.refused)]
    waiting = [cell for cell in plan.cells if cell.start and not cell.refused]
    failures, futures, begun, said = {}, {}, time.time(), Text(style="dim", overflow="ellipsis", no_wrap=True)
    progress = progress_bar()
    task = progress.add_task("sweep", total=len(ready) + len(waiting), unit="runs")
    with Live(Group(progress, said), console=console, transient=True, refresh_per_second=2):
        while ready or futures:
            futures |= {engine.submit(plan.job(cell)): cell for cell in ready}
            ready = []
            done, _ = concurrent.futures.wait(futures, timeout=1, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                cell, failed = futures.pop(future), outcome(future)
                console.print(line(plan, cell, failed))
                progress.advance(task)
                followers = [each for each in waiting if each.start == cell.name]
                waiting = [each for each in waiting if each.start != cell.name]
                if not failed:
                    ready += followers
                elif cell in plan.starts:
                    failures |= {each.name: f"its dense start failed: {failed}" for each in followers}
                    progress.advance(task, len(followers))
                else:
                    failures[cell.name] = failed
            logs = {cell.name: plan.log(cell) for cell in futures.values()}
            at_work = [name for name, log in logs.items() if log.exists() and log.stat().st_mtime > begun]
            said.plain = "\n".join(f"{name}: {last_line(logs[name])}" for name in at_work[:20])
    return failures


def outcome(future):
    """ "", or why the job failed."""
    try:
        return future.result()
    except Exception as error:  # a worker that died four times, a file system that is full: the other jobs go on
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"


def line(plan, cell, failed):
    """What is said of a job that has ended."""
    if failed:
        return f"{cell.name}: failed: {failed} ({plan.log(cell)})"
    run = read_run(cell.name, plan.runs / cell.name)
    record = strictest(run)
    said = [f"{run.summary.get('kernels_nonzero', 0):,} weights", f"trained for {run.summary.get('seconds', 0):,.0f} s"]
    if record:
        said[1:1] = [f"clean {record['clean_accuracy']:.2%}, robust {record['robust_accuracy']:.2%}"]
    return f"{cell.name}: {', '.join(said)}"


def show_plan(plan, console):
    """Prints what will be done, and what flags were left out where they mean nothing."""
    count = f"{len(plan.cells)} run{'s' * (len(plan.cells) != 1)}"
    console.print(f"{count} in {plan.folder}" + (f", from {len(plan.starts)} dense start(s)" if plan.starts else ""))
    for cell in plan.cells:
        if cell.without:
            console.print(f"{cell.name}: without --{', --'.join(cell.without)}, which mean nothing to it")
        if cell.refused:
            console.print(f"{cell.name}: failed: {cell.refused}")


def show(columns, rows, console):
    """Prints the table, without columns that are empty throughout; what all rows have in common goes below it."""
    under = columns.index("worst over")
    common = {row[under] for row in rows} - {""}
    shown = [i for i, _ in enumerate(columns) if any(row[i] for row in rows) and (i != under or len(common) > 1)]
    printed = Table(
        *(Column(columns[i], no_wrap=columns[i] in ("clean", "robust")) for i in shown),
        title="mean ± standard deviation over seeds; seconds of training, bytes of the smallest file",
        caption=f"robust: worst over {common.pop()}" if len(common) == 1 else None,
    )
    for row in rows:
        printed.add_row(*(row[i] for i in shown))
    console.print(printed, soft_wrap=False)


def report(plan, cells, console):
    """Writes one page over all cells that are done into the sweep's folder, and prints its path."""
    if not cells:
        return
    words = command("report", *(f"--workdir={plan.runs / cell.name}" for cell in cells), f"--out={plan.folder}")
    job = Job(plan.folder, plan.folder / "logs" / "report.log", [words], Path.cwd())
    with console.status("report"):
        code = execute(words, job, set())
    console.print(why(job, code) if code else f"report: {plan.folder / 'report.html'}")
