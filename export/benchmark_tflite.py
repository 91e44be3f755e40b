#!/usr/bin/env python3
"""Times .tflite files on this device. Needs only Python >= 3.8, NumPy and one TFLite runtime, so it can be copied.

Two protocols (Charles Marshall's thesis, Algorithms 4 and 5):
    memory    one batch that is already in memory: copy it in, run the file, copy the scores out
    loading   images that are first read from a file: the total time, reading included, divided by the batches

    python benchmark_tflite.py model.tflite
    python benchmark_tflite.py export/ --threads=4 --json=result.json
    python benchmark_tflite.py export/ --check

--check times nothing: it runs the images of golden.npz and says whether the scores on this device lie inside the bounds
that the files' certificates assume of any kernels. Exit code 1 where they do not.

An existing JSON file keeps its timings with other settings (batch, threads, runtime, device) and of other files.
"""

import argparse
import contextlib
import ctypes
import glob
import hashlib
import importlib
import json
import os
import platform
import subprocess
import sys
import time
import zipfile
import zlib

ROUNDS = 10  # how often the files take turns
BASELINE = "model_float32.tflite"  # speedups are relative to it, or to the first file if it is absent
ENERGY = "/sys/class/powercap/intel-rapl:0/energy_uj"
VERSION = 2  # of the JSON file's layout; version 1 was a bare list
# A new timing replaces an old one that is equal in all of these.
SETTINGS = ("file", "protocol", "device", "runtime", "version", "delegate", "threads", "batch")
# What reading a damaged .npz file raises.
DAMAGED = (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError, zipfile.BadZipFile, zlib.error)
RUNTIMES = ("tflite_runtime.interpreter", "ai_edge_litert.interpreter", "tensorflow.lite")


class Refusal(Exception):
    """Input that cannot be used. The user gets one line and exit code 2."""


class Unloadable(Refusal):
    """A file that the runtime cannot load."""


def find_runtime(wanted):
    """(Interpreter class, "package version") of the first installed runtime, or of the package `wanted`."""
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
            with quiet():  # NumPy warns of modules that were built for another version
                module = importlib.import_module(package if package == "tensorflow" else name)
            if package == "tflite_runtime" and int(numpy.__version__.split(".")[0]) > 1:
                failures.append(
                    "tflite_runtime with NumPy {}: it needs NumPy 1 (pip install 'numpy<2')".format(numpy.__version__)
                )
                continue
            if package == "tensorflow":  # it loads its lite module lazily
                return module.lite.Interpreter, "{} {}".format(package, module.__version__)
            return module.Interpreter, "{} {}".format(package, version_of(package))
        except (ImportError, AttributeError) as error:
            failures.append("{}: {}".format(package, [*str(error).splitlines(), type(error).__name__][0]))
    raise Refusal("expected a TFLite runtime (pip install ai-edge-litert); got {}".format("; ".join(failures)))


def version_of(package):
    module = importlib.import_module(package)
    return getattr(module, "__version__", "of unknown version")


def device_name():
    """Model of the board or CPU as the system reports it, machine type and number of cores."""
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
    """Hides stderr, where the runtimes print from C++ and no setting stops them. Exceptions pass."""
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


def load(Interpreter, path, options):
    """An interpreter of the file with tensors allocated for options.batch images."""
    try:
        with quiet():
            more = {"experimental_delegates": [options.loaded_delegate]} if options.loaded_delegate else {}
            interpreter = Interpreter(model_path=path, num_threads=options.threads, **more)
            source = interpreter.get_input_details()[0]
            inputs = len(interpreter.get_input_details())
            if inputs > 1:
                raise Unloadable("{}: expected a .tflite file with one input; got {}".format(path, inputs))
            if options.batch > 1:
                interpreter.resize_tensor_input(source["index"], [options.batch] + list(source["shape"][1:]))
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        message = "{}: expected a .tflite file for batch {}; got {}"
        raise Unloadable(message.format(path, options.batch, reason)) from None
    return interpreter


def loaded_delegate(runtime, library):
    """The delegate in a shared library, for example of a GPU; runtime: "package version" from find_runtime."""
    package = runtime.split()[0]
    module = importlib.import_module({"tensorflow": "tensorflow.lite"}.get(package, package + ".interpreter"))
    try:
        ctypes.CDLL(library)  # the runtimes' own failure prints a traceback
    except OSError as error:
        raise Refusal("--delegate: expected a library that can be loaded; got {}".format(error)) from None
    load_delegate = module.experimental.load_delegate if package == "tensorflow" else module.load_delegate
    try:
        with quiet():
            return load_delegate(library)
    except (ValueError, OSError, RuntimeError) as error:
        raise Refusal("--delegate: expected a library that {} loads; got {}".format(package, error)) from None


def executed(interpreter):
    """Names of the operations that run. All operations that a delegate runs appear as one, DELEGATE."""
    producers = {}
    for op in interpreter._get_ops_details():  # DELEGATE operations come last and override those they replace
        producers.update({tensor: op for tensor in op["outputs"]})
    tensors, found = [d["index"] for d in interpreter.get_output_details()], {}
    while tensors:
        op = producers.get(tensors.pop())
        if op is not None and op["index"] not in found:
            found[op["index"]] = op
            tensors.extend(tensor for tensor in op["inputs"] if tensor >= 0)
    return [op["op_name"] for _, op in sorted(found.items())]


def delegate(names):
    """What a delegate (XNNPACK on CPUs) runs: "whole graph", "part of the graph" or "none"."""
    if "DELEGATE" not in names:
        return "none"
    return "whole graph" if set(names) == {"DELEGATE"} else "part of the graph"


def quantised_input(images, detail):
    """round(x / scale) + zero_point for integer inputs, the images themselves for float inputs."""
    import numpy as np

    if not np.issubdtype(detail["dtype"], np.integer):
        return images.astype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.rint(images / scale) + zero_point, limits.min, limits.max).astype(detail["dtype"])


def read_images(path, detail):
    """(images in the type of the file's input, labels) from sample.npz, float32 in [0, 1].

    Without sample.npz the images are random and the labels None.
    """
    import numpy as np

    if path is None:
        shape = [100] + list(detail["shape"][1:])
        return quantised_input(np.random.RandomState(0).rand(*shape).astype(np.float32), detail), None
    try:
        with np.load(path) as sample:
            images, labels = sample["images"], sample["labels"]
    except DAMAGED as error:
        raise Refusal("{}: expected a .npz file with images and labels; got {}".format(path, error)) from None
    if len(images) == 0 or len(images) != len(labels) or images.dtype.kind != "f":
        message = "{}: expected float images and one label for each; got {} of type {} and {} labels"
        raise Refusal(message.format(path, len(images), images.dtype, len(labels)))
    expected, got = [int(n) for n in detail["shape"][1:]], list(images.shape[1:])
    if got != expected:
        raise Refusal("{}: expected images of shape {}; got {}".format(path, expected, got))
    return quantised_input(images, detail), labels


def run(interpreter, batch):
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def interleaved(subjects, size, runs, warmup):
    """Seconds of each run on one batch that is already in memory (Algorithm 4): {name: [ROUNDS lists]}.

    The subjects take turns, so that a slow phase of the device affects all of them. Each turn starts with uncounted
    runs, because the caches still hold the data of the subject before.
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
    """Times passes over the images of the file `path`, with reading them, until `runs` batches are done (Algorithm 5).

    Returns the seconds per batch of each pass; the predicted classes and the labels of the last pass.
    """
    seconds, done = [], 0
    while done < runs:
        began = time.perf_counter()
        images, labels = read_images(path, subject.detail)
        batches = [images[i : i + size] for i in range(0, len(images) - size + 1, size)]
        if not batches:
            raise Refusal("--batch: expected at most {} images; got {}".format(len(images), size))
        predicted = [c for batch in batches for c in subject.run(batch).argmax(-1)]
        seconds.append((time.perf_counter() - began) / len(batches))
        done += len(batches)
    return seconds, predicted, labels


class Subject:
    """What is timed: run is a function of a batch of `images`; detail describes its input, facts go into the record."""

    def __init__(self, name, size, run, detail, images, facts):
        self.name, self.bytes, self.run, self.detail = name, size, run, detail
        self.images, self.facts = images, facts


def subject_of(path, Interpreter, runtime, options):
    """The Subject of a .tflite file."""
    interpreter = load(Interpreter, path, options)
    detail, names = interpreter.get_input_details()[0], executed(interpreter)
    facts = {
        "runtime": runtime.split()[0],
        "version": " ".join(runtime.split()[1:]),
        "delegate": delegate(names),
        "operations": names,
        "peak_memory_bytes": peak_memory(path, options),
        "sha256": digest(path),
    }
    images, _ = read_images(options.images, detail)
    return Subject(
        os.path.basename(path), os.path.getsize(path), lambda batch: run(interpreter, batch), detail, images, facts
    )


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def peak_memory(path, options):
    """Peak bytes that loading the file and one run add to a new process; None where the system does not report it."""
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


def show_peak(path, options):
    """Prints what `peak_memory` reads; runs in a separate process. Prints nothing where the system reports nothing."""
    import numpy

    Interpreter, runtime = find_runtime(options.runtime)
    options.loaded_delegate = loaded_delegate(runtime, options.delegate) if options.delegate else None
    before = memory("VmRSS")
    interpreter = load(Interpreter, path, options)
    detail = interpreter.get_input_details()[0]
    run(interpreter, numpy.zeros([options.batch] + list(detail["shape"][1:]), detail["dtype"]))
    if before is not None:
        print(max(memory("VmHWM") - before, 0))


def memory(key):
    """An entry of this process' status in bytes (Linux); None elsewhere."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))
    except (OSError, StopIteration):
        return None


def joules():
    """The processor's energy counter in J (Linux powercap); None where it cannot be read."""
    try:
        with open(ENERGY) as file:
            return int(file.read()) / 1e6
    except (OSError, ValueError):
        return None


def energy_per_run(subject, size, runs):
    """Joules per run, of the whole processor; None where the counter cannot be read or overflowed during the runs."""
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
    """Mean, median and 90th percentile in milliseconds."""
    import numpy as np

    ms = np.array(seconds) * 1000
    found = (ms.mean(), np.median(ms), np.percentile(ms, 90))
    return {name: round(float(value), 5) for name, value in zip(("mean_ms", "median_ms", "p90_ms"), found)}


def speedup(baseline, turns):
    """Baseline time / subject time: of the medians over all runs, and the smallest and largest of the rounds."""
    import numpy as np

    ratios = [float(np.median(base) / np.median(turn)) for base, turn in zip(baseline, turns)]
    whole = float(np.median(np.concatenate(baseline)) / np.median(np.concatenate(turns)))
    return {"speedup": round(whole, 3), "speedup_least": round(min(ratios), 3), "speedup_most": round(max(ratios), 3)}


def benchmark(subjects, options):
    """The records of all subjects, one per protocol; without an image file only of the protocol "memory"."""
    import numpy as np

    seconds = interleaved(subjects, options.batch, options.runs, options.warmup)
    names = [subject.name for subject in subjects]
    baseline = BASELINE if BASELINE in names else names[0]
    records = []
    for subject in subjects:
        turns = seconds[subject.name]
        all_runs = [s for turn in turns for s in turn]
        compared = dict(speedup(seconds[baseline], turns), speedup_over=baseline)
        protocols, accuracy = [("memory", all_runs, compared)], None
        if options.images:
            with_loading, predicted, labels = timed_with_loading(subject, options.images, options.batch, options.runs)
            protocols.append(("loading", with_loading, {}))
            accuracy = float(np.mean(np.array(predicted) == labels[: len(predicted)]))
        energy = energy_per_run(subject, options.batch, options.runs)
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
    print("memory: one batch that is already in memory. loading: reading the images included. Times are per batch.")
    baseline = next(r["speedup_over"] for r in records if "speedup_over" in r)
    print("times as fast: relative to {}, by medians; in brackets: min-max of {} rounds.".format(baseline, ROUNDS))
    for r in records:
        if r["joules_a_run"] is not None and r["protocol"] == "memory":
            print("{}: {:.6f} J per run, of the whole processor".format(r["file"], r["joules_a_run"]))


def read_golden(folder):
    """The arrays of FOLDER/golden.npz by name, as export/golden.py describes them."""
    path = os.path.join(folder, "golden.npz")
    import numpy as np

    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if arrays["images"].dtype != np.uint8 or arrays["images"].ndim != 4:
            raise ValueError("other images")
        return dict(arrays, host=str(arrays["host"]))
    except DAMAGED as error:
        message = "--check: expected golden.npz of bin/export_tflite --bundle beside the files; got {}"
        raise Refusal(message.format(error)) from None


def check(files, options):
    """Prints how each file's scores on this device lie to its golden vectors; returns 1 where some are outside."""
    import numpy as np

    golden = read_golden(os.path.dirname(files[0]))
    Interpreter, runtime = find_runtime(options.runtime)
    options.loaded_delegate = loaded_delegate(runtime, options.delegate) if options.delegate else None
    images = golden["images"].astype(np.float32) / np.float32(255)
    words = (device_name(), runtime, options.threads, len(images), golden["host"])
    lines, outside, certified = ["{}; {}; threads {}; {} images, golden vectors by {}".format(*words)], 0, 0
    for path in files:
        name = os.path.basename(path)
        known = {key[len(name) + 1 :]: value for key, value in golden.items() if key.startswith(name + "/")}
        if str(known.pop("sha256", "")) != digest(path):
            raise Refusal("{}: expected the file of golden.npz; got another one".format(path))
        interpreter = load(Interpreter, path, options)
        detail = interpreter.get_input_details()[0]
        if list(detail["shape"][1:]) != list(images.shape[1:]):
            raise Refusal("{}: expected images of shape {} as in golden.npz".format(path, list(images.shape[1:])))
        scores = np.concatenate([run(interpreter, quantised_input(image[None], detail)) for image in images])
        if any(value.shape != scores.shape for value in known.values()):
            raise Refusal("--check: expected scores of shape {} for {} in golden.npz".format(scores.shape, name))
        low, high = known.pop("low", None), known.pop("high", None)
        if (low is None) != (high is None):
            raise Refusal("--check: expected both ends of the bounds of {} in golden.npz; got one".format(name))
        if low is None:
            verdict = "not certified"
        else:
            certified += 1
            wrong = int(np.sum(~((low <= scores) & (scores <= high)).all(-1)))  # NaN too
            outside += wrong > 0
            verdict = "OUTSIDE: {} images".format(wrong) if wrong else "inside, {:.3g} wide".format(np.max(high - low))
        lines.append("{:<30} {:<22} {}".format(name, verdict, "; ".join(apart(scores, known))))
    if not certified:
        raise Refusal("--check: expected a file with a certificate; got none")
    print("\n".join(lines))
    print("inside: all scores as the certificate assumes them, between bounds at most that far apart, in stored units.")
    if outside:
        print("The certificates of files that are OUTSIDE do not hold for the kernels of this device.")
    return 1 if outside else 0


def apart(scores, known):
    """For each family of the host's kernels: on how many images the scores are equal, and the largest difference."""
    import numpy as np

    found = []
    for family, expected in sorted(known.items()):
        distance = np.abs(scores.astype(np.float64) - expected.astype(np.float64)).max(-1)
        found.append("{} equal {}, at most {:.3g} off".format(family, int(np.sum(distance == 0)), distance.max()))
    return found


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
    """(options, files to time); others: number of further subjects."""
    parser = OneLine(prog="benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help=".tflite file, or a folder of them")
    parser.add_argument("--images", help="sample.npz with images and labels; default: the one beside the files")
    parser.add_argument("--runs", type=positive, default=200, help="timed runs of each file (default: 200)")
    parser.add_argument("--warmup", type=positive, default=20, help="uncounted runs before them (default: 20)")
    parser.add_argument("--threads", type=threads, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--batch", type=positive, default=1, help="images per run (default: 1)")
    names = ["auto"] + [name.split(".")[0] for name in RUNTIMES]
    parser.add_argument("--runtime", choices=names, default="auto", help="default: the first that is installed")
    parser.add_argument("--delegate", help="shared library of a delegate, for example for a GPU; default: XNNPACK only")
    parser.add_argument("--json", help="file for the records")
    parser.add_argument("--check", action="store_true", help="compare with golden.npz, in place of timing")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    files = sorted(glob.glob(os.path.join(options.path, "*.tflite"))) if os.path.isdir(options.path) else [options.path]
    if (files and not os.path.isfile(files[0])) or not (files or others):
        raise Refusal("expected a .tflite file or a folder of them; got {!r}".format(options.path))
    folder = options.path if os.path.isdir(options.path) else os.path.dirname(options.path)
    beside = os.path.join(folder, "sample.npz")
    if options.images is None and os.path.isfile(beside):
        options.images = beside
    if options.check and (options.batch > 1 or options.json):
        raise Refusal("--check: expected neither --batch nor --json with it; got one of them")
    if options.json and not writable(options.json):
        raise Refusal("--json: expected a writable file in an existing folder; got {!r}".format(options.json))
    return options, files


def read_timings(path):
    """The timings in a JSON file of this script; an empty list where there is no file."""
    if not os.path.isfile(path):
        return []
    try:
        with open(path) as file:
            content = json.load(file)
        if isinstance(content, dict) and content["record_version"] > VERSION:
            raise ValueError("version {}".format(content["record_version"]))
        timings = content if isinstance(content, list) else content["timings"]
        for timing in timings:
            if not all(isinstance(timing[name], (str, int)) for name in SETTINGS + ("bytes",)):
                raise ValueError("an entry with other values")
        return timings
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        message = "--json: expected timings of this script in {}, or a new file; got {}: {}"
        raise Refusal(message.format(path, type(error).__name__, error)) from None


def merged(old, new):
    """The old timings, without those of the same settings or of a file that has changed, followed by the new ones."""
    taken = {tuple(timing[name] for name in SETTINGS) for timing in new}
    now = {timing["file"]: timing for timing in new}
    kept = [timing for timing in old if tuple(timing[name] for name in SETTINGS) not in taken]
    return [timing for timing in kept if same_file(timing, now.get(timing["file"], timing))] + new


def same_file(one, other):
    """Whether two timings are of the same file; timings of version 1 have no digest."""
    return all(one[name] == other[name] for name in ("bytes", "sha256") if name in one and name in other)


def writable(path):
    """Whether a file can be written there. Checked before the timing, without creating the file."""
    if os.path.exists(path):
        return os.path.isfile(path) and os.access(path, os.W_OK)
    return os.access(os.path.dirname(path) or ".", os.W_OK)


def timed(options, files, others=()):
    """The records of files; others: functions that take the options and return a further `Subject`."""
    Interpreter, runtime = find_runtime(options.runtime)
    options.loaded_delegate = loaded_delegate(runtime, options.delegate) if options.delegate else None
    subjects = [make(options) for make in others]
    for path in reversed(files):
        try:
            subjects.insert(0, subject_of(path, Interpreter, runtime, options))
        except Unloadable as refusal:  # the other files are still timed
            if len(files) == 1 or (path == files[0] and not subjects):
                raise
            print("benchmark: left out: {}".format(refusal), file=sys.stderr)
    return benchmark(subjects, options)


def main(argv=None, others=()):
    """Times the files that argv names; others: see `timed`."""
    try:
        options, files = parse(argv, len(others))
        if options.peak:
            show_peak(files[0], options)
            return 0
        if options.check:
            return check(files, options)
        old = read_timings(options.json) if options.json else []
        records = timed(options, files, others)
    except Refusal as refusal:
        print("benchmark: {}".format(refusal), file=sys.stderr)
        return 2
    show(records)
    if options.json:
        special = os.path.exists(options.json) and not os.path.isfile(options.json)  # for example /dev/stdout
        partial = options.json if special else options.json + ".partial"
        with open(partial, "w") as file:
            json.dump({"record_version": VERSION, "timings": merged(old, records)}, file, indent=2)
        if not special:
            os.replace(partial, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
