"""export/benchmark*.json: latencies of exported files on devices, written by export/benchmark_tflite.py.

That script runs alone on a device and imports nothing from here: it writes the fields that are declared here.
"""

from dataclasses import dataclass
from typing import ClassVar

from robust_tf.records.record import Count, Positive, Share


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times of one file under one protocol: "memory", a batch in memory, or "loading", reading the images included.

    sha256: of the file. device, runtime, version, delegate, threads: what ran it. batch: images per run; times are per
    batch. accuracy: on the loaded images. joules_a_run: energy of the whole processor. speedup: relative to the file
    speedup_over; speedup_least and speedup_most: over the rounds. operations: what the runtime executed.
    """

    file: str
    bytes: Positive
    sha256: str | None = None
    protocol: str
    device: str
    runtime: str
    version: str
    delegate: str
    operations: tuple[str, ...] = ()
    peak_memory_bytes: Count | None = None
    threads: Positive
    batch: Positive
    runs: Positive
    mean_ms: float
    median_ms: float
    p90_ms: float
    accuracy: Share | None = None
    joules_a_run: float | None = None
    speedup: float | None = None
    speedup_least: float | None = None
    speedup_most: float | None = None
    speedup_over: str | None = None


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Timings of one or more benchmarks. Version 1 was a bare list of them."""

    VERSION: ClassVar[int] = 2
    BARE_LIST: ClassVar[str] = "timings"

    timings: tuple[Timing, ...]
