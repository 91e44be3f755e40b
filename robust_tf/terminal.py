"""Terminal output of the commands: whole tables and lines, progress bars, and silence from libraries."""

import contextlib
import os
import re
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

WIDE = 10_000  # columns; no table is wider
SHOWN = 10  # items that a message names
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # also ends of lines, and no UTF-8


def escaped(text):
    """The text with what would end its line, steer the terminal or be no UTF-8 as escapes, such as \\n."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def named(items):
    """The items in one line, SHOWN of them at most."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(map(escaped, items[:SHOWN])) + more


def number_of(number, noun):
    """ "1 image", "2 images"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def screen(**options):
    """rich's Console; where the output is no terminal, its tables and lines are whole: rich would cut them at 80."""
    found = Console(**options)
    if not found.is_terminal:
        found.width = WIDE
    return found


def progress_bar():
    """A progress bar with elapsed and remaining time, for `add_task(name, total=, unit=)`.

    Use it as a context manager, so that it is removed from the screen after an error too. It shows nothing where the
    output is no terminal: rich would print an empty line.
    """
    console = screen()
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[unit]},")]
    columns += [TimeElapsedColumn(), TextColumn("so far,"), TimeRemainingColumn(), TextColumn("left")]
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


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
        progress.update(tasks[name], total=total, completed=done, description=f"{prefix}{name}, {accuracy:.2%} robust")

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
