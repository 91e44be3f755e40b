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
import ctypes
import glob
import importlib
import json
import os
import platform
import subprocess
import sys
import time
import zipfile
import zlib

ROUNDS = 10  # turns that each file takes
BASELINE = "model_float32.tflite"  # what others are compared with; the first file where it is not there
ENERGY = "/sys/class/powercap/intel-rapl:0/energy_uj"
RUNTIMES = ("tflite_runtime.interpreter", "ai_edge_litert.interpreter", "tensorflow.lite")


class Refusal(Exception):
    """Input that cannot be used: one line for the user, exit code 2."""


class Unloadable(Refusal):
    """A file that the runtime does not load."""


def find_runtime(wanted):
    """(Interpreter class, "package version") of the first runtime that is installed, or of the one that is wanted."""
    try:
        import numpy
    except ImportError as error:
        raise Refusal("expected NumPy (pip install numpy); got {}".format(error)) from None
    failures = []
    for name in RUNTIMES:
        package = name.split(".")[0]
        if wanted not in ("auto", package):
            continue
        try:
            with quiet():  # NumPy has much to say of modules built for another
                module = importlib.import_module(package if package == "tensorflow" else name)
            if package == "tflite_runtime" and int(numpy.__version__.split(".")[0]) > 1:
                failures.append(
                    "tflite_runtime beside NumPy {}: it needs NumPy 1 (pip install 'numpy<2')".format(numpy.__version__)
                )
                continue
            if package == "tensorflow":  # its lite module is loaded lazily
                return module.lite.Interpreter, "{} {}".format(package, module.__version__)
            return module.Interpreter, "{} {}".format(package, version_of(package))
        except (ImportError, AttributeError) as error:
            failures.append("{}: {}".format(package, [*str(error).splitlines(), type(error).__name__][0]))
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


def load(Interpreter, path, options):
    """An interpreter of the file with its tensors allocated for a batch."""
    try:
        with quiet():
            more = {"experimental_delegates": [options.loaded_delegate]} if options.loaded_delegate else {}
            interpreter = Interpreter(model_path=path, num_threads=options.threads, **more)
            source = interpreter.get_input_details()[0]
            inputs = len(interpreter.get_input_details())
            if inputs > 1:
                raise Unloadable("{}: expected a .tflite file of one input; got {}".format(path, inputs))
            if options.batch > 1:
                interpreter.resize_tensor_input(source["index"], [options.batch] + list(source["shape"][1:]))
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        message = "{}: expected a .tflite file for batch {}; got {}"
        raise Unloadable(message.format(path, options.batch, reason)) from None
    return interpreter


def loaded_delegate(runtime, library):
    """The delegate in a shared library, as of a GPU; runtime: the package that find_runtime names."""
    package = runtime.split()[0]
    module = importlib.import_module({"tensorflow": "tensorflow.lite"}.get(package, package + ".interpreter"))
    try:
        ctypes.CDLL(library)  # the runtimes' own failure comes with a traceback
    except OSError as error:
        raise Refusal("--delegate: expected a library that can be loaded; got {}".format(error)) from None
    load_delegate = module.experimental.load_delegate if package == "tensorflow" else module.load_delegate
    try:
        with quiet():
            return load_delegate(library)
    except (ValueError, OSError, RuntimeError) as error:
        raise Refusal("--delegate: expected a library that {} loads; got {}".format(package, error)) from None


def executed(interpreter):
    """Names of the operations that run: those that a delegate took are one, DELEGATE, after the others."""
    makers = {}
    for op in interpreter._get_ops_details():  # a delegate's come last and replace what they took
        makers.update({tensor: op for tensor in op["outputs"]})
    wanted, runs = [d["index"] for d in interpreter.get_output_details()], {}
    while wanted:
        op = makers.get(wanted.pop())
        if op is not None and op["index"] not in runs:
            runs[op["index"]] = op
            wanted.extend(tensor for tensor in op["inputs"] if tensor >= 0)
    return [op["op_name"] for _, op in sorted(runs.items())]


def delegate(names):
    """What a delegate (XNNPACK on CPUs) took over: "whole graph", "part of the graph" or "none"."""
    if "DELEGATE" not in names:
        return "none"
    return "whole graph" if set(names) == {"DELEGATE"} else "part of the graph"


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
    except (OSError, KeyError, ValueError, TypeError, IndexError, zipfile.BadZipFile, zlib.error) as error:
        raise Refusal("{}: expected a .npz file with images and labels; got {}".format(path, error)) from None
    if len(images) == 0 or len(images) != len(labels) or images.dtype.kind != "f":
        message = "{}: expected float images and a label for each; got {} of type {} and {} labels"
        raise Refusal(message.format(path, len(images), images.dtype, len(labels)))
    expected, got = [int(n) for n in detail["shape"][1:]], list(images.shape[1:])
    if got != expected:
        raise Refusal("{}: expected images of shape {}; got {}".format(path, expected, got))
    return quantised(images, detail), labels


def run(interpreter, batch):
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def interleaved(subjects, size, runs, warmup):
    """Seconds of each run on one batch that is already in memory (Algorithm 4): {name: [ROUNDS lists]}.

    The subjects take turns, so that whatever slows the device slows all of them. A turn starts with runs that are not
    counted: the caches hold what ran before.
    """
    import numpy as np

    seconds = {subject.name: [] for subject in subjects}
    uncounted = -(-warmup // ROUNDS)
    for _ in range(ROUNDS):
        for subject in subjects:
            batch = subject.images[np.arange(size) % len(subject.images)]
            turn = []
            for _ in range(uncounted + -(-runs // ROUNDS)):
                began = time.perf_counter()
                subject.run(batch)
                turn.append(time.perf_counter() - began)
            seconds[subject.name].append(turn[uncounted:])
    return seconds


def timed_with_loading(subject, path, size, runs):
    """Seconds a batch, reading of the images included, for each of a few passes over them (Algorithm 5).

    Returns them, and the predicted classes with their labels.
    """
    seconds, done = [], 0
    while done < runs:
        began = time.perf_counter()
        images, labels = read_images(path, subject.detail)
        whole = [images[i : i + size] for i in range(0, len(images) - size + 1, size)]
        if not whole:
            raise Refusal("--batch: expected at most {} images; got {}".format(len(images), size))
        predicted = [c for batch in whole for c in subject.run(batch).argmax(-1)]
        seconds.append((time.perf_counter() - began) / len(whole))
        done += len(whole)
    return seconds, predicted, labels


class Subject:
    """What is timed: a function of a batch of its images, with its name, bytes, detail of its input, and facts."""

    def __init__(self, name, size, run, detail, images, facts):
        self.name, self.bytes, self.run, self.detail = name, size, run, detail
        self.images, self.facts = images, facts


def subject_of(path, Interpreter, runtime, options):
    """The Subject of a file."""
    interpreter = load(Interpreter, path, options)
    detail, names = interpreter.get_input_details()[0], executed(interpreter)
    facts = {
        "runtime": runtime.split()[0],
        "version": " ".join(runtime.split()[1:]),
        "delegate": delegate(names),
        "operations": names,
        "peak_memory_bytes": peak_memory(path, options),
    }
    images, _ = read_images(options.images, detail)
    return Subject(
        os.path.basename(path), os.path.getsize(path), lambda batch: run(interpreter, batch), detail, images, facts
    )


def peak_memory(path, options):
    """Bytes that loading the file and one run add to a process, at most; None where the system does not tell."""
    command = [sys.executable, os.path.abspath(__file__), path, "--peak", "--runtime", options.runtime]
    for name in ("threads", "batch"):
        command += ["--" + name, str(getattr(options, name))]
    if options.delegate:
        command += ["--delegate", options.delegate]
    try:
        child = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return int(child.stdout) if child.returncode == 0 and child.stdout.strip().isdigit() else None


def show_peak(path, Interpreter, options):
    """Prints what `peak_memory` reads, nothing where the system does not tell; runs in a process of its own."""
    import numpy

    before = memory("VmRSS")
    interpreter = load(Interpreter, path, options)
    detail = interpreter.get_input_details()[0]
    run(interpreter, numpy.zeros([options.batch] + list(detail["shape"][1:]), detail["dtype"]))
    if before is not None:
        print(max(memory("VmHWM") - before, 0))


def memory(key):
    """A line of this process' status (Linux) in bytes; None elsewhere."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))
    except (OSError, StopIteration):
        return None


def joules():
    """The energy that the processor has used, in J, where the system tells it (Linux powercap); else None."""
    try:
        with open(ENERGY) as file:
            return int(file.read()) / 1e6
    except (OSError, ValueError):
        return None


def energy_a_run(subject, size, runs):
    """Joules of a run, of the whole processor; None where it is not told, or its counter turned over meanwhile."""
    import numpy as np

    batch = subject.images[np.arange(size) % len(subject.images)]
    before = joules()
    if before is None:
        return None
    for _ in range(runs):
        subject.run(batch)
    after = joules()
    return (after - before) / runs if after is not None and after >= before else None


def milliseconds(seconds):
    """Mean, median and 90th percentile."""
    import numpy as np

    ms = np.array(seconds) * 1000
    found = (ms.mean(), np.median(ms), np.percentile(ms, 90))
    return {name: round(float(value), 5) for name, value in zip(("mean_ms", "median_ms", "p90_ms"), found)}


def speedup(baseline, turns):
    """How often the subject runs while the baseline runs once: of medians, and the least and most of the rounds."""
    import numpy as np

    ratios = [float(np.median(base) / np.median(turn)) for base, turn in zip(baseline, turns)]
    whole = float(np.median(np.concatenate(baseline)) / np.median(np.concatenate(turns)))
    return {"speedup": round(whole, 3), "speedup_least": round(min(ratios), 3), "speedup_most": round(max(ratios), 3)}


def benchmark(subjects, options):
    """The records of all subjects, one a protocol; without images there is nothing to load."""
    import numpy as np

    seconds = interleaved(subjects, options.batch, options.runs, options.warmup)
    names = [subject.name for subject in subjects]
    baseline = BASELINE if BASELINE in names else names[0]
    records = []
    for subject in subjects:
        turns = seconds[subject.name]
        every = [s for turn in turns for s in turn]
        compared = dict(speedup(seconds[baseline], turns), speedup_over=baseline)
        protocols, accuracy = [("memory", every, compared)], None
        if options.images:
            with_loading, predicted, labels = timed_with_loading(subject, options.images, options.batch, options.runs)
            protocols.append(("loading", with_loading, {}))
            accuracy = float(np.mean(np.array(predicted) == labels[: len(predicted)]))
        energy = energy_a_run(subject, options.batch, options.runs)
        for protocol, times, more in protocols:
            record = {"file": subject.name, "bytes": subject.bytes, "protocol": protocol, "device": device_name()}
            record.update(subject.facts, threads=options.threads, batch=options.batch, runs=len(times))
            record.update(milliseconds(times), accuracy=accuracy, joules_a_run=energy, **more)
            records.append(record)
    return records


def show(records):
    print("{device}; {runtime} {version}; threads {threads}, batch {batch}".format(**records[0]))
    row = "{:<30} {:>10} {:<8} {:>9} {:>9} {:>9} {:>22} {:>9} {:<18} {:>8}"
    times = ("mean ms", "median", "p90")
    print(row.format("file", "bytes", "protocol", *times, "times as fast", "peak MB", "delegate", "accuracy"))
    for r in records:
        accuracy = "" if r["accuracy"] is None else "{:.1%}".format(r["accuracy"])
        times = ["{:.3f}".format(r[key]) for key in ("mean_ms", "median_ms", "p90_ms")]
        faster = "{speedup:.2f} ({speedup_least:.2f}-{speedup_most:.2f})".format(**r) if "speedup" in r else ""
        peak = "" if r["peak_memory_bytes"] is None else "{:.1f}".format(r["peak_memory_bytes"] / 1e6)
        print(row.format(r["file"], r["bytes"], r["protocol"], *times, faster, peak, r["delegate"], accuracy))
    print("memory: one batch already in memory. loading: reading the images included, per batch. Times of a batch.")
    baseline = next(r["speedup_over"] for r in records if "speedup_over" in r)
    print("times as fast: as {}, of medians; in brackets the least and most of {} rounds.".format(baseline, ROUNDS))
    for r in records:
        if r["joules_a_run"] is not None and r["protocol"] == "memory":
            print("{}: {:.6f} J a run, of the whole processor".format(r["file"], r["joules_a_run"]))


def positive(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("expected an integer >= 1; got {!r}".format(text))
    return int(text)


def threads(text):
    if positive(text) > 1024:
        raise argparse.ArgumentTypeError("expected an integer in [1, 1024]; got {!r}".format(text))
    return int(text)


class OneLine(argparse.ArgumentParser):
    def error(self, message):
        raise Refusal(message)


def parse(argv, others=0):
    """The options, and the files to time; others: what is timed beside them."""
    parser = OneLine(prog="benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help=".tflite file, or a folder of them")
    parser.add_argument("--images", help="sample.npz with images and labels; default: the one beside the files")
    parser.add_argument("--runs", type=positive, default=200, help="timed runs, or images loaded (default: 200)")
    parser.add_argument("--warmup", type=positive, default=20, help="runs before them (default: 20)")
    parser.add_argument("--threads", type=threads, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--batch", type=positive, default=1, help="images a run (default: 1)")
    names = ["auto"] + [name.split(".")[0] for name in RUNTIMES]
    parser.add_argument("--runtime", choices=names, default="auto", help="default: the first installed, in this order")
    parser.add_argument("--delegate", help="shared library of a delegate, as of a GPU; default: none but XNNPACK")
    parser.add_argument("--json", help="file to write the records to")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    files = sorted(glob.glob(os.path.join(options.path, "*.tflite"))) if os.path.isdir(options.path) else [options.path]
    if (files and not os.path.isfile(files[0])) or not (files or others):
        raise Refusal("expected a .tflite file or a folder of them; got {!r}".format(options.path))
    folder = options.path if os.path.isdir(options.path) else os.path.dirname(options.path)
    beside = os.path.join(folder, "sample.npz")
    if options.images is None and os.path.isfile(beside):
        options.images = beside
    if options.json and not writable(options.json):
        raise Refusal(
            "--json: expected a file in an existing folder that can be written; got {!r}".format(options.json)
        )
    return options, files


def writable(path):
    """Whether a file can be written there: seen before anything is timed, and without leaving an empty one."""
    if os.path.exists(path):
        return os.path.isfile(path) and os.access(path, os.W_OK)
    return os.access(os.path.dirname(path) or ".", os.W_OK)


def main(argv=None, others=()):
    """Times the files that argv names; others: functions of the options that return further `Subject`s."""
    try:
        options, files = parse(argv, len(others))
        Interpreter, runtime = find_runtime(options.runtime)
        options.loaded_delegate = loaded_delegate(runtime, options.delegate) if options.delegate else None
        if options.peak:
            show_peak(files[0], Interpreter, options)
            return 0
        subjects = [other(options) for other in others]
        for path in reversed(files):
            try:
                subjects.insert(0, subject_of(path, Interpreter, runtime, options))
            except Unloadable as refusal:  # one file that this runtime does not know leaves the others
                if len(files) == 1 or (path == files[0] and not subjects):
                    raise
                print("benchmark: left out: {}".format(refusal), file=sys.stderr)
        records = benchmark(subjects, options)
    except Refusal as refusal:
        print("benchmark: {}".format(refusal), file=sys.stderr)
        return 2
    show(records)
    if options.json:
        special = os.path.exists(options.json) and not os.path.isfile(options.json)  # /dev/stdout for one
        partial = options.json if special else options.json + ".partial"
        with open(partial, "w") as file:
            json.dump(records, file, indent=2)
        if not special:
            os.replace(partial, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
