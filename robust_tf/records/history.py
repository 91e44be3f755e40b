"""history.csv: one row per epoch."""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import msgspec

from robust_tf.files import replace
from robust_tf.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class HistoryRow:
    """The results of an epoch. Losses and accuracies are of training images; those with val_ are of held-out images,
    measured on the net that would ship. A cell is empty (None) if the stage has no such value.

    epoch: counted from 0 over all stages of the run. stage: its name. seconds: of the epoch. eps, steps (of the
    attack), learning_rate: at the end of the epoch. loss: with the constraint's penalty. k: largest number of non-zero
    weights. rho, primal_residual, dual_residual, churn: of ADMM. support_churn, nonzero_U, nonzero_V, nonzero_C: of the
    net that would ship, see `training.callbacks.support`.
    """

    epoch: int
    stage: str
    seconds: float | None = None
    eps: float | None = None
    steps: float | None = None
    learning_rate: float | None = None
    loss: float | None = None
    clean_loss: float | None = None
    adversarial_loss: float | None = None
    penalty: float | None = None
    accuracy: float | None = None
    robust_accuracy: float | None = None
    val_loss: float | None = None
    val_clean_loss: float | None = None
    val_adversarial_loss: float | None = None
    val_accuracy: float | None = None
    val_robust_accuracy: float | None = None
    certified_accuracy: float | None = None
    val_certified_accuracy: float | None = None
    k: float | None = None
    rho: float | None = None
    primal_residual: float | None = None
    dual_residual: float | None = None
    nonzero: float | None = None
    churn: float | None = None
    support_churn: float | None = None
    nonzero_U: float | None = None
    nonzero_V: float | None = None
    nonzero_C: float | None = None


FIELDS = tuple(field.name for field in fields(HistoryRow))


def read_history(path):
    """The rows of history.csv; [] if there is no file. Raises Refusal if it is damaged."""
    path = Path(path)
    if not path.exists():
        return []
    try:
        with path.open(newline="") as file:
            return [row_of(cells) for cells in csv.DictReader(file)]
    except (OSError, csv.Error, UnicodeDecodeError, msgspec.ValidationError, TypeError) as error:
        raise Refusal(f"{path}: expected a row of numbers for each epoch; got {error}") from None


def row_of(cells):
    """{name: text} -> HistoryRow; raises csv.Error for cells without a name, which the reader lists under None."""
    if None in cells:
        raise csv.Error(f"a row with {len(cells[None])} cells too many")
    return msgspec.convert({name: text for name, text in cells.items() if is_number(text)}, HistoryRow, strict=False)


def is_number(text):
    """Whether a cell is not empty, NaN or infinite; losses may be so before training fails."""
    return text and text.lower().lstrip("+-") not in ("nan", "inf", "infinity")


def write_history(path, rows):
    """Replaces history.csv."""

    def write(partial):
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)

    replace(path, write)
