"""Engines: jobs come back, from processes of this machine and from a Ray cluster that loses a worker."""

import os
import signal
import subprocess
import sys
import time

import pytest

from robust_tf.refusal import Refusal
from robust_tf.sweep.engines import Cluster, Local
from robust_tf.sweep.job import Job

# The first time it says who it is and works on; the second time it finds what it wrote, and ends.
INTERRUPTED = """
import os, pathlib, time
here = pathlib.Path('.')
if not (here / 'first').exists():
    (here / 'partial').write_text(f'{os.getpid()} {os.getppid()}')
    (here / 'partial').rename(here / 'first')
    time.sleep(120)
(here / 'model.keras').write_text('net')
(here / 'summary.json').write_text('{}')
"""
QUICK = "import pathlib; [pathlib.Path(name).write_text('net') for name in ('model.keras', 'summary.json')]"


def job_in(folder, script):
    folder.mkdir()
    return Job(folder, folder / "log", [["-c", script]], folder)


def wait_for(happened, seconds=30):
    """What happened() returns as soon as that is true; raises TimeoutError."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := happened():
            return found
        time.sleep(0.05)
    raise TimeoutError


def alive(pid):
    try:
        os.kill(pid, 0)
        return os.path.exists(f"/proc/{pid}") and open(f"/proc/{pid}/stat").read().split(") ")[1][0] != "Z"
    except OSError:
        return False


def test_no_command_outlives_its_worker(tmp_path):
    """Linux alone: elsewhere it goes on."""
    sleeps = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    worker = f"""
import pathlib
from robust_tf.sweep.job import Job, finish
here = pathlib.Path({str(tmp_path)!r})
finish(Job(here, here / "log", [["-c", {sleeps!r}]], here))
"""
    process = subprocess.Popen([sys.executable, "-c", worker])
    pid = wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    process.kill()
    process.wait()
    assert wait_for(lambda: not alive(int(pid)))


def test_local_jobs_at_once(tmp_path):
    """Two that wait for each other end only side by side."""
    meets = (
        QUICK + "; import time;"
        " other = pathlib.Path('..') / {!r} / 'model.keras'\nwhile not other.exists(): time.sleep(0.02)"
    )
    engine = Local(2)
    jobs = [job_in(tmp_path / one, meets.format(other)) for one, other in (("a", "b"), ("b", "a"))]
    futures = [engine.submit(job) for job in jobs]
    assert [future.result(60) for future in futures] == ["", ""]


def test_stopping_ends_what_is_at_work(tmp_path):
    engine = Local(1)
    jobs = [job_in(tmp_path / "a", INTERRUPTED), job_in(tmp_path / "b", QUICK)]
    futures = [engine.submit(job) for job in jobs]
    wait_for(lambda: (tmp_path / "a" / "first").exists())
    begun = time.monotonic()
    engine.stop()
    assert time.monotonic() - begun < 20
    assert futures[0].result() == "killed by SIGTERM"
    assert futures[1].cancelled()
    assert not (tmp_path / "b" / "model.keras").exists()


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker(tmp_path):
    """Of two workers one is killed while it works; its job is done again by another, and its process does not go on."""
    pytest.importorskip("ray", reason="needs ray, an extra: pip install 'robust_tf[ray]'")
    from ray.cluster_utils import Cluster as Machines

    machines = Machines(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            machines.add_node(num_cpus=1)
        engine = Cluster(machines.address, jobs=2)
        try:
            interrupted = engine.submit(job_in(tmp_path / "a", INTERRUPTED))
            quick = engine.submit(job_in(tmp_path / "b", QUICK))
            wait_for(lambda: (tmp_path / "a" / "first").exists(), 120)
            process, worker = map(int, (tmp_path / "a" / "first").read_text().split())
            os.kill(worker, signal.SIGKILL)
            assert wait_for(lambda: not alive(process))
            assert (interrupted.result(120), quick.result(120)) == ("", "")
        finally:
            engine.stop()
    finally:
        machines.shutdown()


def test_no_cluster():
    pytest.importorskip("ray", reason="needs ray, an extra: pip install 'robust_tf[ray]'")
    with pytest.raises(Refusal, match="--ray_address=localhost:1: expected a Ray cluster; got"):
        Cluster("localhost:1", jobs=1)
