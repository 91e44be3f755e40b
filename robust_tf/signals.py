"""SIGTERM, which asks a process to end."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def on_sigterm(call):
    """SIGTERM calls call() in place of what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only there can signals be handled
        return
    before = signal.signal(signal.SIGTERM, lambda *_: call())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
