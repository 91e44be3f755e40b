"""Where jobs run: an engine is submit(job) -> concurrent.futures.Future of `job.finish`, and stop()."""

import concurrent.futures
import dataclasses
import os
import socket
import time

from robust_tf.refusal import Refusal
from robust_tf.sweep.job import finish


class Local:
    """Runs jobs as processes of this machine, `jobs` at a time, which share its processors."""

    def __init__(self, jobs):
        self.pool = concurrent.futures.ThreadPoolExecutor(jobs)
        self.threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else 0
        self.processes, self.futures = set(), []

    def submit(self, job):
        job = dataclasses.replace(job, threads=self.threads)
        self.futures.append(self.pool.submit(finish, job, self.processes))
        return self.futures[-1]

    def stop(self):
        """Ends running jobs; the same command resumes them."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        while not all(future.done() for future in self.futures):
            for process in list(self.processes):
                process.terminate()
            time.sleep(0.2)


class Cluster:
    """Runs jobs on a Ray cluster, each with its share of the processors, and with a GPU if the cluster has any.

    A job whose worker or machine dies is started again, up to three times, and resumes from its last checkpoint.
    """

    def __init__(self, address, jobs):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # otherwise Ray reports each start to its makers
        try:
            import ray
        except ImportError:
            raise Refusal(f"--ray_address={address}: expected ray (pip install 'robust_tf[ray]'); got none") from None
        reachable(address)
        try:
            ray.init(address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise Refusal(f"--ray_address={address}: expected a Ray cluster; got {error}") from None
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        processors = [int(machine.get("CPU", 0)) for machine in machines]
        self.ray = ray
        self.threads = max(1, min(sum(processors) // jobs, max(processors)))
        gpus = 1 if any(machine.get("GPU") for machine in machines) else 0
        self.finish = ray.remote(num_cpus=self.threads, num_gpus=gpus, max_retries=3)(finish)

    def submit(self, job):
        return self.finish.remote(dataclasses.replace(job, threads=self.threads)).future()

    def stop(self):
        """Disconnects from the cluster, which ends this sweep's jobs there."""
        self.ray.shutdown()


def reachable(address):
    """Raises Refusal where nothing listens at HOST:PORT: Ray would retry for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return  # auto, local
    try:
        socket.create_connection((host.rpartition("/")[2].strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise Refusal(f"--ray_address={address}: expected a Ray cluster; got {error}") from None
