"""The runs and their results, signs that accuracies are too high, missing files, and configurations."""

import dataclasses
import platform
from importlib.metadata import PackageNotFoundError, version

from robust_tf.drawing.figures import Figure, Missing
from robust_tf.drawing.words import described, number, percent
from robust_tf.evaluation import MODES
from robust_tf.flags.kinds import as_text
from robust_tf.report.printed import beside_printed
from robust_tf.report.strictest import strictest
from robust_tf.terminal import number_of
from robust_tf.training.config import TrainConfig

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
    cells = [cells_of(run) for run in runs]
    columns = [name for name in cells[0] if name not in OPTIONAL or any(each[name] for each in cells)]
    caption = (
        "Accuracies on test images. Robust: the lowest of all evaluations at the norm and eps of training, for images"
        " that are classified correctly under all attacks; the true robust accuracy is at most that."
    )
    if "certified" in columns:
        caption += (
            " Certified: images for which interval bounds prove that no attack within eps succeeds; the true robust"
            " accuracy is at least that."
        )
    rows = [tuple(each[name] for name in columns) for each in cells]
    return Figure("overview", "The runs", caption, columns=tuple(columns), rows=rows)


OPTIONAL = ("certified", "certified, held-out images")


def cells_of(run):
    """{column: text} of a run."""
    robust, summary = strictest(run), run.summary
    in_memory = [timing for timing in run.timings if timing.protocol == "memory" and timing.batch == 1]
    return {
        "run": run.name,
        "data, net, method": " ".join((run.config.dataset, run.config.model, run.config.method)) if run.config else "?",
        "weights": number(summary.kernels_nonzero) if summary else "",
        "kept": percent(summary.ratio) if summary else "",
        "clean": percent(robust.clean_accuracy, robust.num_images) if robust else "",
        "robust": percent(robust.robust_accuracy, robust.num_images) if robust else "",
        "attacks": described(robust),
        "certified": certified(run),
        "certified, held-out images": certified_in_training(summary),
        "bytes of the smallest file": number(min((file.bytes for file in run.files), default=None)),
        "ms of the fastest file": number(min((timing.median_ms for timing in in_memory), default=None)),
    }


def certified(run):
    """Certified accuracy in each ball that evaluations certified, on the most images."""
    found = {}
    for record in sorted(run.evaluations.values(), key=lambda record: record.num_images):
        if record.certified_accuracy is not None:
            ball = f"{record.norm} eps {record.certified_eps:.4g}"
            share = percent(record.certified_accuracy, record.num_images)
            found[ball] = f"{share} at {ball}, {number_of(record.num_images, 'image')}"
    return "; ".join(found.values())


def certified_in_training(summary):
    if summary is None or summary.certified_accuracy is None:
        return ""
    share = percent(summary.certified_accuracy, summary.num_images)
    return f"{share} at eps {summary.eps:.4g}, {number_of(summary.num_images, 'image')}"


def flags(runs):
    """The signs that evaluations found; a sentence where they found none; nothing where none looked for signs."""
    title = "Signs that robust accuracy is too high"
    looked = [name for run in runs for name, record in run.evaluations.items() if MODES[record.mode].probes]
    found = [
        (run.name, name, flag) for run in runs for name, record in run.evaluations.items() for flag in record.flags
    ]
    if found:
        caption = "Each sign says that attacks are too weak, or that the net misleads them."
        return Figure("flags", title, caption, columns=("run", "evaluation", "sign"), rows=found)
    return Figure("flags", title, f"None in the {len(looked)} evaluations that looked for them.") if looked else []


def guesses(runs):
    """Nets that are no better than a guess."""
    found = [(run.name, "training", run.summary.guess) for run in runs if run.summary]
    found += [(run.name, name, record.guess) for run in runs for name, record in run.evaluations.items()]
    rows = [row for row in found if row[-1]]
    columns = ("run", "measured in", "why")
    return Figure("guesses", "Warning: no better than a guess", columns=columns, rows=rows) if rows else []


def absent(runs):
    rows = [(run.name, line) for run in runs for line in run.absent]
    return Figure("absent", "Missing or unusable files", columns=("run", "what"), rows=rows) if rows else []


def configuration(runs):
    keys = [field.name for field in dataclasses.fields(TrainConfig)]
    configured = [dataclasses.asdict(run.config) if run.config else {} for run in runs]
    rows = [(key, *(shown(config.get(key)) for config in configured)) for key in sorted(keys)]
    times = [("trained for, seconds", *(number(run.summary.seconds) if run.summary else "" for run in runs))]
    versions = [(package, *([installed(package)] * len(runs))) for package in ("python", *PACKAGES)]
    if not any(configured):
        return Missing("Flags and versions", "no run has a config.json")
    return Figure(
        "configuration",
        "Flags and versions",
        "Flags and training time of each run, and the package versions that wrote this page.",
        columns=("flag", *(run.name for run in runs)),
        rows=rows + times + versions,
    )


def shown(value):
    return "" if value is None else as_text(value)


def installed(package):
    if package == "python":
        return platform.python_version()
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


FIGURES = (guesses, overview, beside_printed, flags, absent)
CONFIGURATION = (configuration,)
