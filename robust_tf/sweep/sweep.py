"""sweep(plan): runs the jobs of a grid, then writes a table of means over seeds, all numbers, and one report."""

import concurrent.futures
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from robust_tf.records.record import read, write
from robust_tf.records.sweep import Sweep, SweptCell
from robust_tf.refusal import Refusal
from robust_tf.report.strictest import strictest
from robust_tf.signals import on_sigterm
from robust_tf.sweep.engines import Cluster, Local
from robust_tf.sweep.job import Job, execute, last_line, why
from robust_tf.sweep.plan import RECORD, command
from robust_tf.sweep.results import write_results
from robust_tf.sweep.table import finished, grouped, table, write_csv
from robust_tf.terminal import number_of, progress_bar, screen
from robust_tf.training.rundir import RunDirectory


def sweep(plan):
    """Runs all unfinished jobs; returns the number of cells and reports that failed."""
    console = screen(highlight=False, soft_wrap=True, markup=False)  # paths and errors contain brackets
    address, jobs = plan.config.ray_address, plan.config.jobs
    engine = Cluster(address, jobs) if address else Local(jobs)
    try:
        with RunDirectory(plan.folder).locked(), on_sigterm(stop):
            failures = {cell.name: cell.refused for cell in plan.cells if cell.refused}
            show_dropped(plan, console)
            write_record(plan, failures)
            for folder in (plan.runs, plan.folder / "logs"):
                folder.mkdir(exist_ok=True)
            show_plan(plan, console)
            failures |= work(plan, engine, console)
            groups = grouped(plan, failures)
            write_csv(plan.folder / "table.csv", groups)
            write_results(plan.folder, plan, failures)
            write_record(plan, failures)
            show(*table(groups), console)
            done = [cell for cell in plan.cells if cell.name not in failures]
            return len(failures) + report(plan, done, console)
    finally:
        engine.stop()


def stop():
    """SIGTERM acts like Ctrl-C: jobs are stopped, and trainings save a checkpoint."""
    raise KeyboardInterrupt


def write_record(plan, failures):
    """sweep.json: the sweep's flags and its cells."""
    cells = tuple(SweptCell(**asdict(cell), failed=failures.get(cell.name, "")) for cell in plan.cells)
    write(plan.folder / RECORD, Sweep(**asdict(plan.config), cells=cells))


def show_dropped(plan, console):
    """Prints which runs of the last sweep in this folder are not in this one; their folders stay."""
    try:
        earlier = {cell.name for cell in read(plan.folder / RECORD, Sweep).cells}
    except Refusal:  # no record yet, or a damaged one
        return
    for name in sorted(earlier - {cell.name for cell in plan.cells}):
        console.print(f"{name}: of an earlier sweep in this folder; the table and the report leave it out")


def work(plan, engine, console):
    """Runs the jobs, each start before its followers; returns {name: reason} for the cells that failed."""
    ready = [*plan.starts, *(cell for cell in plan.cells if not cell.start and not cell.refused)]
    waiting = [cell for cell in plan.cells if cell.start and not cell.refused]
    failures, futures, begun, status = {}, {}, time.time(), Text(style="dim", overflow="ellipsis", no_wrap=True)
    progress = progress_bar()
    task = progress.add_task("sweep", total=len(ready) + len(waiting), unit="runs")
    with Live(Group(progress, status), console=console, transient=True, refresh_per_second=2):
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
            running = [name for name, log in logs.items() if log.exists() and log.stat().st_mtime > begun]
            status.plain = "\n".join(f"{name}: {last_line(logs[name])}" for name in running[:20])
    return failures


def outcome(future):
    """The job's result: "", or why it failed."""
    try:
        return future.result()
    except Exception as error:  # a worker died four times, a disk is full, ...: the other jobs continue
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"


def line(plan, cell, failed):
    """The line about a finished job."""
    if failed:
        return f"{cell.name}: failed: {failed} ({plan.log(cell)})"
    run = finished(plan, cell)
    record = strictest(run)
    parts = []
    if run.summary:
        parts = [f"{run.summary.kernels_nonzero:,} weights", f"trained for {run.summary.seconds:,.0f} s"]
    if record:
        parts[1:1] = [f"clean {record.clean_accuracy:.2%}, robust {record.robust_accuracy:.2%}"]
    return f"{cell.name}: {', '.join(parts)}"


def show_plan(plan, console):
    """Prints the number of runs, flags that do not apply to a run, and runs that bin/train would refuse."""
    starts = f", from {number_of(len(plan.starts), 'dense start')}" if plan.starts else ""
    console.print(f"{number_of(len(plan.cells), 'run')} in {plan.folder}{starts}")
    for cell in plan.cells:
        if cell.without:
            console.print(f"{cell.name}: without --{', --'.join(cell.without)}, which do not apply to it")
        if cell.refused:
            console.print(f"{cell.name}: failed: {cell.refused}")


def show(columns, rows, console):
    """Prints the table without empty columns; attacks that all rows have in common are named below it."""
    under = columns.index("worst over")
    common = {row[under] for row in rows} - {""}
    shown = [i for i, _ in enumerate(columns) if any(row[i] for row in rows) and (i != under or len(common) > 1)]
    printed = Table(
        *(Column(columns[i], no_wrap=columns[i] in ("clean", "robust")) for i in shown),
        title="mean ± standard deviation over seeds; seconds of training without dense starts, bytes of smallest files",
        caption=f"robust: worst over {common.pop()}" if len(common) == 1 else None,
    )
    for row in rows:
        printed.add_row(*(row[i] for i in shown))
    console.print(printed, soft_wrap=False)


def report(plan, cells, console):
    """Writes a report of all finished cells into the sweep's folder; returns 1 if that fails, else 0."""
    (plan.folder / "report.html").unlink(missing_ok=True)  # it may be of other cells
    if not cells:
        return 0
    words = command("report", *(f"--workdir={plan.runs / cell.name}" for cell in cells), f"--out={plan.folder}")
    devices = sorted(plan.folder.glob("benchmark*.json"))
    words += [f"--benchmarks={','.join(map(str, devices))}"] if devices else []
    job = Job(plan.folder, plan.folder / "logs" / "report.log", [words], Path.cwd())
    with console.status("report"):
        code = execute(words, job, set())
    console.print(f"report failed: {why(job, code)}" if code else f"report: {plan.folder / 'report.html'}")
    return int(code != 0)
