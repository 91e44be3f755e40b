"""What each run is, what it came to, and how it was set up."""

import platform
from importlib.metadata import PackageNotFoundError, version

from robust_tf.report.figures import Figure, Missing, number, percent

PACKAGES = (
    "robust_tf",
    "tensorflow",
    "tf-keras",
    "tensorflow-model-optimization",
    "cleverhans",
    "ai-edge-litert",
    "numpy",
)


def overview(runs):
    rows = []
    for run in runs:
        robust = strictest(run)
        files = run.manifest.get("files", [])
        smallest = min(files, key=lambda row: row["bytes"], default={})
        fastest = min(
            (r for r in run.benchmarks if r.get("protocol") == "memory"), key=lambda r: r["median_ms"], default={}
        )
        rows.append(
            (
                run.name,
                " ".join(str(run.config.get(key, "?")) for key in ("dataset", "model", "method")),
                number(run.summary.get("kernels_nonzero")),
                percent(run.summary.get("ratio")),
                percent(robust.get("clean_accuracy")),
                percent(robust.get("robust_accuracy")),
                described(robust),
                number(smallest.get("bytes")),
                number(fastest.get("median_ms")),
            )
        )
    columns = (
        "run", "what", "weights", "kept", "clean", "robust", "worst over", "bytes of the smallest file",
        "ms of the fastest file",
    )  # fmt: skip
    return Figure(
        "overview",
        "The runs",
        "Accuracies on test images. Robust accuracy is the least of the evaluations there are, each the worst over its"
        " attacks, image by image: an upper bound of the truth.",
        columns=columns,
        rows=rows,
    )


def flags(runs):
    found = [
        (run.name, record["written"], flag)
        for run in runs
        for record in run.evaluations
        for flag in record.get("flags", [])
    ]
    if not found:
        return Missing("Signs that a net misleads attacks", "no evaluation saw one")
    return Figure(
        "flags",
        "Signs that a net misleads attacks",
        "Printed by the evaluations themselves; where there are some, robust accuracy may be too high.",
        columns=("run", "evaluation", "sign"),
        rows=found,
    )


def absent(runs):
    rows = [(run.name, line) for run in runs for line in run.absent]
    return Figure("absent", "What is missing", columns=("run", "what"), rows=rows) if rows else []


def strictest(run):
    """The record of mode attacks with the least robust accuracy, at the largest number of images first."""
    records = run.of_mode("attacks")
    most = max((record["num_images"] for record in records), default=0)
    return min((r for r in records if r["num_images"] == most), key=lambda r: r["robust_accuracy"], default={})


def described(record):
    """What an evaluation did, in a few words."""
    if not record:
        return ""
    attacks = ", ".join(record["attacks"])
    steps = f", {record['steps']} steps of {record['alpha']:.3g}" if record.get("alpha") else ""
    return f"{attacks}; {record['norm']} eps {record['eps']:.4g}{steps}, {record['num_images']:,} images"


def configuration(runs):
    keys = sorted({key for run in runs for key in run.config})
    rows = [(key, *(shown(run.config.get(key)) for run in runs)) for key in keys]
    times = [("trained for, seconds", *(number(run.summary.get("seconds")) for run in runs))]
    versions = [(package, *([installed(package)] * len(runs))) for package in ("python", *PACKAGES)]
    if not rows:
        return Missing("Flags", "no run has a config.json")
    return Figure(
        "configuration",
        "Flags",
        "As each run was trained; times, and the versions that wrote this page.",
        columns=("flag", *(run.name for run in runs)),
        rows=rows + times + versions,
    )


def shown(value):
    return "" if value is None else str(value)


def installed(package):
    if package == "python":
        return platform.python_version()
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


FIGURES = (overview, flags, absent)
CONFIGURATION = (configuration,)
