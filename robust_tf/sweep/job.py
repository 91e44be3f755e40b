"""A job: the commands of one run, one after the other, each in a process of its own; what is done is not done again."""

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from robust_tf import rundir
from robust_tf.refusal import Refusal

DONE = "done.json"  # in the run directory: {command: SHA-256 of the net that it was done for}
STOPPED = "stopped before its end; the same command goes on"


@dataclass(frozen=True)
class Job:
    """run: its directory. log: file that gets what the commands print. commands: lists of words after `python`; the
    first trains: it makes RUN/model.keras, then RUN/summary.json. cwd: where they run. threads: of each; 0:
    TensorFlow's choice.

    Paths are absolute: the job may run on another machine that sees the same files.
    """

    run: Path
    log: Path
    commands: list
    cwd: Path
    threads: int = 0


def finish(job, processes=None):
    """Runs the commands that have not been run for the net as it is; returns "", else why the job failed.

    Args:
      processes: a set that holds the process at work, for whoever must stop it.
    """
    done = read_done(job)
    for command in job.commands:
        key = shlex.join(command)
        net = digest(job)
        if net and done.get(key) == net:
            continue
        before, printed = summary_written(job), job.log.stat().st_size if job.log.exists() else 0
        code = execute(command, job, processes if processes is not None else set())
        if code:
            return why(job, code, printed)
        if command is job.commands[0] and summary_written(job) == before:
            return STOPPED  # by a signal, which is no failure to bin/train
        done[key] = digest(job)
        rundir.write_json(job.run / DONE, done)
    return ""


def read_done(job):
    """{command: SHA-256 of the net that it was done for}; empty where there is no such record."""
    try:
        return rundir.read_json(job.run / DONE)
    except Refusal:
        return {}


def summary_written(job):
    """When training last came to its end; None before."""
    path = job.run / "summary.json"
    return path.stat().st_mtime_ns if path.exists() else None


def digest(job):
    path = job.run / "model.keras"
    return rundir.digest(path) if path.exists() else None


def execute(command, job, processes):
    """Runs one command, what it prints going to the job's log; returns its exit code."""
    environment = {**os.environ, "COLUMNS": "120"}
    if job.threads:
        environment |= {"TF_NUM_INTRAOP_THREADS": str(job.threads), "OMP_NUM_THREADS": str(job.threads)}
        environment["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # runs side by side share a GPU's memory
    with job.log.open("a") as log:
        log.write(f"$ python {shlex.join(command)}\n")
        log.flush()
        process = subprocess.Popen(
            [sys.executable, "-P", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=job.cwd,
            env=environment,
            preexec_fn=die_with_parent,
        )
        processes.add(process)
        try:
            return process.wait()
        finally:
            processes.discard(process)


def die_with_parent():
    """Linux: the kernel kills this process when the one that started it dies, be it by SIGKILL.

    Else a training whose worker was killed would go on beside the one that replaces it.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG


def why(job, code, printed=0):
    """The last line that a command has printed, `printed` bytes into the log, or the signal that ended it."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return last_line(job.log, printed) or f"exit code {code}"


def last_line(log, start=0):
    """The last line of a log, from byte `start` on, that is not empty; "" without one."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
