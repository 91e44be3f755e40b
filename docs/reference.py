"""Writes the tables of docs/reference.md, and those between the marks in README.md, from the registries.

bin/python docs/reference.py
"""

from pathlib import Path

from robust_tf.attacks import ATTACKS, STARTS
from robust_tf.data import DATASETS
from robust_tf.evaluation import MODES, SEQUENCES
from robust_tf.export import FORMATS
from robust_tf.flags.kinds import offered
from robust_tf.models import MODELS
from robust_tf.projections import PROJECTIONS
from robust_tf.training import LOSSES, TRAINING_ATTACKS
from robust_tf.training.methods import METHODS
from robust_tf.training.schedules import LEARNING_RATES

ROOT = Path(__file__).resolve().parents[1]
TABLES = {
    "nets": ("Nets", "--model", MODELS),
    "data": ("Data sets", "--dataset", DATASETS),
    "methods": ("Training methods", "--method", METHODS),
    "projections": ("Constraints on the weights", "--projection", PROJECTIONS),
    "losses": ("Training losses", "--loss", LOSSES),
    "training-attacks": ("Training attacks", "--attack", TRAINING_ATTACKS),
    "starts": ("Starts of the training attack", "--starts", STARTS),
    "rates": ("Learning-rate schedules", "--learning_rate_schedule", LEARNING_RATES),
    "modes": ("What bin/evaluate measures", "--mode", MODES),
    "attacks": ("Attacks of bin/evaluate", "--attacks", {**ATTACKS, **SEQUENCES}),
    "formats": ("File formats of bin/export_tflite", "--formats", FORMATS),
}
BEGIN, END = "<!-- {}: written by docs/reference.py -->", "<!-- end -->"


def table(name):
    """A Markdown table of the registry: name, what it is, the flags that apply to it."""
    _, flag, registry = TABLES[name]
    rows = [
        (f"`{key}`", summary(entry).replace("|", "\\|"), " ".join(f"`--{each}`" for each in entry.options))
        for key, entry in ((key, registry[key]) for key in offered(registry))
    ]
    lines = [f"| `{flag}` | what it is | further flags |", "|---|---|---|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def summary(entry):
    """One line about an entry; for a data set its images and classes."""
    if hasattr(entry, "image_shape"):
        if entry.image_shape is None:
            return "your own images, a folder for each class"
        size = "x".join(map(str, entry.image_shape))
        return (
            f"{entry.train_images:,} training images of {size}, {len(entry.class_names)} classes, eps {entry.eps:.3g}"
        )
    return entry.summary


def reference():
    """The text of docs/reference.md."""
    parts = ["# What can be chosen", "Written from the registries by `bin/python docs/reference.py`."]
    for name, (title, _, _) in TABLES.items():
        parts += [f"## {title}", table(name)]
    return "\n\n".join(parts) + "\n"


def filled(text):
    """`text` with up-to-date tables between its marks."""
    for name in TABLES:
        begin = BEGIN.format(name)
        if begin in text:
            before, rest = text.split(begin, 1)
            text = f"{before}{begin}\n{table(name)}\n{END}{rest.split(END, 1)[1]}"
    return text


def main():
    (ROOT / "docs" / "reference.md").write_text(reference())
    (ROOT / "README.md").write_text(filled((ROOT / "README.md").read_text()))


if __name__ == "__main__":
    main()
