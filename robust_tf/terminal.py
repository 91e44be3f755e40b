"""What a person at the terminal sees of a long command: a progress bar, and not the chatter of libraries."""

import contextlib
import os
import sys

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def progress_bar():
    """A bar of work done, time spent and time left, for `add_task(name, total=, unit=)`.

    Use it as a context, so that an error takes it off the screen too.
    """
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[unit]},")]
    columns += [TimeElapsedColumn(), TextColumn("so far,"), TimeRemainingColumn(), TextColumn("left")]
    return Progress(*columns, transient=True)


def sequence_progress(progress, prefix=""):
    """A bar for each attack of a sequence, with the running robust accuracy: advance(name, done, of, accuracy)."""
    tasks = {}

    def advance(name, done, of, accuracy):
        if name not in tasks:
            tasks[name] = progress.add_task(name, total=of, unit="images")
        progress.update(tasks[name], completed=done, description=f"{prefix}{name}, {accuracy:.2%} robust")

    return advance


@contextlib.contextmanager
def quiet():
    """Sends the process' stderr to nowhere: TensorFlow and TFLite write there what no setting silences.

    Exceptions come through as ever.
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
