"""Signal handlers that are set for a while."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def handled(number, handler):
    """Within this context the signal `number` calls `handler`, as in signal.signal; then the old handler is back."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python sets signal handlers in the main thread only
        return
    previous = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, previous)


def on_sigterm(call):
    """Within this context SIGTERM, the request to end the process, calls call()."""
    return handled(signal.SIGTERM, lambda *_: call())
