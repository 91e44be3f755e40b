"""A job: the commands of one run, one after the other, each in its own process; finished commands are skipped."""

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from robust_tf.records.record import read, write
from robust_tf.records.sweep import Done
from robust_tf.refusal import Refusal
from robust_tf.training.rundir import RunDirectory

DONE = "done.json"  # in the run directory: a Done
STOPPED = "training was stopped before its end; the same command resumes it"


@dataclass(frozen=True)
class Job:
    """The commands of a run.

    run: the run directory.
    log: file for the output of the commands.
    commands: lists of words after `python`; the first one trains, and writes RUN/model.keras, then RUN/summary.json.
    cwd: folder in which they run.
    threads: of each command; 0 for TensorFlow's choice.

    Paths are absolute: the job may run on another machine that sees the same files.
    """

    run: Path
    log: Path
    commands: list
    cwd: Path
    threads: int = 0


def finish(job, processes=None):
    """Runs the commands that have not been run for the present net; returns "", or why the job failed.

    Args:
      processes: a set that holds the running process, so that a caller can stop it.
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
            return STOPPED  # by a signal, after which bin/train exits with code 0
        done[key] = digest(job)
        write(job.run / DONE, Done(commands=done))
    return ""


def read_done(job):
    """{command: SHA-256 of the net for which it was run}; empty without a record."""
    try:
        return read(job.run / DONE, Done).commands
    except Refusal:
        return {}


def summary_written(job):
    """When training last finished; None if it never has."""
    path = RunDirectory(job.run).summary_path
    return path.stat().st_mtime_ns if path.exists() else None


def digest(job):
    run = RunDirectory(job.run)
    return run.digest if run.net_path.exists() else None


def execute(command, job, processes):
    """Runs one command with its output in the job's log; returns its exit code."""
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
    """Linux: the kernel kills this process when its parent dies, even by SIGKILL.

    Otherwise the training of a killed worker would run on beside its replacement.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG


def why(job, code, printed=0):
    """Why a command failed: the signal that ended it, or its last line of output, from byte `printed` of the log."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return last_line(job.log, printed) or f"exit code {code}"


def last_line(log, start=0):
    """The last non-empty line of a log, from byte `start` on; "" without one."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
