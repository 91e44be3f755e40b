#!/usr/bin/env python3
"""Times .tflite files on the device it runs on. Needs Python >= 3.8, NumPy and one TFLite runtime; copy it anywhere.

Two protocols (Marshall's thesis, Algorithms 4 and 5):
    memory    one image that is already in memory: copy in, run, copy out
    loading   images read from a file first: the time of all, reading included, divided by their number

    python benchmark_tflite.py model.tflite
    python benchmark_tflite.py export/ --threads=4 --json=result.json
"""

import argparse
import contextlib
import glob
import importlib
import json
import os
import platform
import sys
import time
import zipfile
import zlib

RUNTIMES = ("tflite_runtime.interpreter", "ai_edge_litert.interpreter", "tensorflow.lite")


class Refusal(Exception):
    """Input that cannot be used: one line for the user, exit code 2."""


def find_runtime(wanted):
    """(Interpreter class, "package version") of the first runtime that is installed, or of the one that is wanted."""
    failures = []
    for name in RUNTIMES:
        package = name.split(".")[0]
        if wanted not in ("auto", package):
            continue
        try:
            if package == "tensorflow":  # its lite module is loaded lazily
                module = importlib.import_module(package)
                return module.lite.Interpreter, "{} {}".format(package, module.__version__)
            module = importlib.import_module(name)
            return module.Interpreter, "{} {}".format(package, version_of(package))
        except (ImportError, AttributeError) as error:
            failures.append("{}: {}".format(package, str(error).splitlines()[0]))
    raise Refusal("expected a TFLite runtime (pip install ai-edge-litert); got {}".format("; ".join(failures)))


def version_of(package):
    module = importlib.import_module(package)
    return getattr(module, "__version__", "of unknown version")


def device_name():
    """Model of the board or CPU, as the system tells it, and the machine type."""
    name = platform.processor()
    for path, key in (("/proc/device-tree/model", ""), ("/proc/cpuinfo", "model name")):
        try:
            with open(path, errors="replace") as file:
                lines = [line for line in file if line.startswith(key)]
        except OSError:
            continue
        if lines:
            name = lines[0].split(":")[-1].strip("\0 \n\t")
            break
    return "{}, {}, {} cores".format(name or "unknown CPU", platform.machine(), os.cpu_count())


@contextlib.contextmanager
def quiet():
    """The runtimes greet on stderr from C++, which no setting silences; exceptions come through."""
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


def load(Interpreter, path, threads, batch):
    """An interpreter of the file with its tensors allocated for `batch` images."""
    try:
        with quiet():
            interpreter = Interpreter(model_path=path, num_threads=threads)
            source = interpreter.get_input_details()[0]
            if batch > 1:
                interpreter.resize_tensor_input(source["index"], [batch] + list(source["shape"][1:]))
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise Refusal("{}: expected a .tflite file for batch {}; got {}".format(path, batch, reason)) from None
    return interpreter


def delegate(interpreter):
    """What a delegate (XNNPACK on CPUs) took over: "whole graph", "part of the graph" or "none"."""
    taken = [op for op in interpreter._get_ops_details() if op["op_name"] == "DELEGATE"]
    sources = {d["index"] for d in interpreter.get_input_details()}
    sinks = {d["index"] for d in interpreter.get_output_details()}
    if any(sources <= set(op["inputs"]) and sinks <= set(op["outputs"]) for op in taken):
        return "whole graph"
    return "part of the graph" if taken else "none"


def quantised(images, detail):
    """round(x / scale) + zero_point for integer inputs, the images themselves for float ones."""
    import numpy as np

    if not np.issubdtype(detail["dtype"], np.integer):
        return images.astype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.rint(images / scale) + zero_point, limits.min, limits.max).astype(detail["dtype"])


def read_images(path, detail):
    """Images as the file wants them, and labels, from sample.npz (float32 in [0, 1]); random ones without it."""
    import numpy as np

    if path is None:
        shape = [100] + list(detail["shape"][1:])
        return quantised(np.random.RandomState(0).rand(*shape).astype(np.float32), detail), None
    try:
        with np.load(path) as sample:
            images, labels = sample["images"], sample["labels"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise Refusal("{}: expected a .npz file with images and labels; got {}".format(path, error)) from None
    expected, got = [int(n) for n in detail["shape"][1:]], list(images.shape[1:])
    if got != expected:
        raise Refusal("{}: expected images of shape {}; got {}".format(path, expected, got))
    return quantised(images, detail), labels


def run(interpreter, batch):
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def timed_in_memory(interpreter, images, size, runs, warmup):
    """Seconds of each of `runs` runs on one batch that is already in memory (Algorithm 4)."""
    import numpy as np

    batch = images[np.arange(size) % len(images)]
    seconds = []
    for _ in range(warmup + runs):
        began = time.perf_counter()
        run(interpreter, batch)
        seconds.append(time.perf_counter() - began)
    return seconds[warmup:]


def timed_with_loading(interpreter, path, detail, size, runs):
    """Seconds a batch, reading of the images included, for each of a few passes over them (Algorithm 5).

    Returns them, and the predicted classes with their labels where there are labels.
    """
    seconds, done = [], 0
    while done < runs:
        began = time.perf_counter()
        images, labels = read_images(path, detail)
        whole = [images[i : i + size] for i in range(0, len(images) - size + 1, size)]
        if not whole:
            raise Refusal("--batch: expected at most {} images; got {}".format(len(images), size))
        predicted = [c for batch in whole for c in run(interpreter, batch).argmax(-1)]
        seconds.append((time.perf_counter() - began) / len(whole))
        done += len(whole)
    return seconds, predicted, labels


def benchmark(path, Interpreter, runtime, options):
    """The records of one file, one a protocol; without images there is nothing to load."""
    import numpy as np

    interpreter = load(Interpreter, path, options.threads, options.batch)
    detail = interpreter.get_input_details()[0]
    images, _ = read_images(options.images, detail)
    in_memory = timed_in_memory(interpreter, images, options.batch, options.runs, options.warmup)
    protocols, accuracy = [("memory", in_memory)], None
    if options.images:
        with_loading, predicted, labels = timed_with_loading(
            interpreter, options.images, detail, options.batch, options.runs
        )
        protocols.append(("loading", with_loading))
        accuracy = float(np.mean(np.array(predicted) == labels[: len(predicted)]))
    records = []
    for protocol, seconds in protocols:
        milliseconds = np.array(seconds) * 1000
        records.append(
            {
                "file": os.path.basename(path),
                "bytes": os.path.getsize(path),
                "protocol": protocol,
                "runtime": runtime.split()[0],
                "version": " ".join(runtime.split()[1:]),
                "device": device_name(),
                "threads": options.threads,
                "batch": options.batch,
                "mean_ms": round(float(milliseconds.mean()), 5),
                "median_ms": round(float(np.median(milliseconds)), 5),
                "p90_ms": round(float(np.percentile(milliseconds, 90)), 5),
                "runs": len(seconds),
                "delegate": delegate(interpreter),
                "accuracy": accuracy,
            }
        )
    return records


def show(records):
    print("{device}; {runtime} {version}; threads {threads}, batch {batch}".format(**records[0]))
    row = "{:<24} {:>10} {:<8} {:>9} {:>9} {:>9} {:>6} {:<18} {:>8}"
    print(row.format("file", "bytes", "protocol", "mean ms", "median", "p90", "runs", "delegate", "accuracy"))
    for r in records:
        accuracy = "" if r["accuracy"] is None else "{:.1%}".format(r["accuracy"])
        times = ["{:.3f}".format(r[key]) for key in ("mean_ms", "median_ms", "p90_ms")]
        print(row.format(r["file"], r["bytes"], r["protocol"], *times, r["runs"], r["delegate"], accuracy))
    print("memory: one batch already in memory. loading: reading the images included, per batch. Times of a batch.")


def positive(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("expected an integer >= 1; got {!r}".format(text))
    return int(text)


class OneLine(argparse.ArgumentParser):
    def error(self, message):
        raise Refusal(message)


def parse(argv):
    parser = OneLine(prog="benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help=".tflite file, or a folder of them")
    parser.add_argument("--images", help="sample.npz with images and labels; default: the one beside the files")
    parser.add_argument("--runs", type=positive, default=200, help="timed runs, or images loaded (default: 200)")
    parser.add_argument("--warmup", type=positive, default=20, help="runs before them (default: 20)")
    parser.add_argument("--threads", type=positive, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--batch", type=positive, default=1, help="images a run (default: 1)")
    names = ["auto"] + [name.split(".")[0] for name in RUNTIMES]
    parser.add_argument("--runtime", choices=names, default="auto", help="default: the first installed, in this order")
    parser.add_argument("--json", help="file to write the records to")
    options = parser.parse_args(argv)
    if options.json and not os.path.isdir(os.path.dirname(options.json) or "."):
        raise Refusal("--json: expected a file in an existing folder; got {!r}".format(options.json))
    files = sorted(glob.glob(os.path.join(options.path, "*.tflite"))) if os.path.isdir(options.path) else [options.path]
    if not files or not os.path.isfile(files[0]):
        raise Refusal("expected a .tflite file or a folder of them; got {!r}".format(options.path))
    beside = os.path.join(os.path.dirname(files[0]), "sample.npz")
    if options.images is None and os.path.isfile(beside):
        options.images = beside
    return options, files


def main(argv=None):
    try:
        options, files = parse(argv)
        Interpreter, runtime = find_runtime(options.runtime)
        records = [record for path in files for record in benchmark(path, Interpreter, runtime, options)]
    except Refusal as refusal:
        print("benchmark: {}".format(refusal), file=sys.stderr)
        return 2
    show(records)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(records, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
