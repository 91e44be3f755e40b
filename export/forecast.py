"""Bytes and milliseconds of exported files before a net is trained: those of random weights with as many zeros."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from robust_tf.export import FORMATS, benchmark_tflite
from robust_tf.export.columns import columns_as_channels
from robust_tf.export.compact import compact
from robust_tf.export.formats import convert
from robust_tf.export.tflite import FAILURES, in_one_line
from robust_tf.terminal import progress_bar, screen

RUNS = 100  # timed runs of each file
IMAGES = 20  # random images that determine the ranges of int8; they change no byte count


@dataclass(frozen=True)
class Forecast:
    """A file's bytes and its median milliseconds on this machine, one image, one thread; or why there is no file."""

    format: str
    bytes: int | None = None
    milliseconds: float | None = None
    reason: str = ""


def forecast(net, formats=tuple(FORMATS)):
    """A Forecast for each format. Which units die is not known before training: compact files may come out smaller."""
    found = []
    with tempfile.TemporaryDirectory() as folder, progress_bar() as progress:
        task = progress.add_task("forecasting the files", total=len(formats) + 1, unit="steps")
        for name in progress.track(formats, task_id=task):
            found.append(written(net, name, Path(folder)))
        milliseconds = timed(folder) if any(file.bytes for file in found) else {}
        progress.advance(task)
    return [Forecast(each.format, each.bytes, milliseconds.get(each.format), each.reason) for each in found]


def written(net, name, folder):
    """Writes the file of a format into `folder`; its Forecast without milliseconds."""
    random = np.random.default_rng(0).random((IMAGES, *net.input_shape[1:]), np.float32)
    try:
        content = convert(columns_as_channels(compact(net)) if FORMATS[name].compact else net, name, random)
    except FAILURES as error:
        return Forecast(name, reason=in_one_line(error))
    (folder / f"{name}.tflite").write_bytes(content)
    return Forecast(name, len(content))


def timed(folder):
    """{format: median milliseconds} of the files in a folder."""
    options, files = benchmark_tflite.parse([str(folder), f"--runs={RUNS}"])
    return {Path(each["file"]).stem: each["median_ms"] for each in benchmark_tflite.timed(options, files)}


def show(found):
    """Prints the Forecasts."""
    table = Table(
        "file", "bytes", "ms",
        title="files of the untrained net, with zeros at random",
        caption="ms: median on this machine, one image, one thread. Compact files depend on which channels training"
        " leaves unused.",
    )  # fmt: skip
    for file in found:
        size = f"{file.bytes:,}" if file.bytes else f"none: {file.reason}"
        table.add_row(file.format, size, "" if file.milliseconds is None else f"{file.milliseconds:.3f}")
    screen(highlight=False, markup=False).print(table)
