"""Terminal output of the commands: whole tables, progress bars, and silence from libraries."""

import contextlib
import os
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

WIDE = 10_000  # columns; no table is wider


def screen(**options):
    """rich's Console; where the output is no terminal, its tables and lines are whole: rich would cut them at 80."""
    found = Console(**options)
    if not found.is_terminal:
        found.width = WIDE
    return found


def progress_bar():
    """A progress bar with elapsed and remaining time, for `add_task(name, total=, unit=)`.

    Use it as a context manager, so that it is removed from the screen after an error too.
    """
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[unit]},")]
    columns += [TimeElapsedColumn(), TextColumn("so far,"), TimeRemainingColumn(), TextColumn("left")]
    return Progress(*columns, console=screen(), transient=True)


def busy(what):
    """Shows `what` beside a spinner while the context lasts; nothing where the output is no terminal."""
    console = Console(highlight=False)
    return console.status(f"[dim]{what}") if console.is_terminal else contextlib.nullcontext()


def sequence_progress(progress, prefix=""):
    """A bar for each attack of a sequence, with the robust accuracy so far: advance(name, done, total, accuracy)."""
    tasks = {}

    def advance(name, done, total, accuracy):
        if name not in tasks:
            tasks[name] = progress.add_task(name, total=total, unit="images")
        progress.update(tasks[name], completed=done, description=f"{prefix}{name}, {accuracy:.2%} robust")

    return advance


@contextlib.contextmanager
def quiet():
    """Discards the process's stderr: TensorFlow and TFLite write messages to it that no setting silences.

    Exceptions are raised as usual.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
