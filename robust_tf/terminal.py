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
