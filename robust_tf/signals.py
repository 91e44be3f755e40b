"""What a process does when a signal comes."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def handled(number, handler):
    """The signal `number` calls `handler`, as of signal.signal, in place of what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only there can signals be handled
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def on_sigterm(call):
    """SIGTERM, which asks a process to end, calls call()."""
    return handled(signal.SIGTERM, lambda *_: call())
