"""What the sweeps of configs/claims measured: results.csv and epochs.csv of this folder, and figures of them."""

import csv
import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
KEPT = ("flagfile", "ratio", "method", "seed")  # columns that tell runs apart
EPOCHS = ("epoch", "stage", "support_churn", "nonzero_U", "nonzero_V", "nonzero_C")
PGD = ("attacks", "attacks=pgd", "steps=100", "num_images=2000")
ROBUST, CLEAN = (*PGD, "robust_accuracy"), (*PGD, "clean_accuracy")
FIRST = ("attacks", "attacks=pgd", "steps=100", "num_images=500", "robust_accuracy")  # on AutoAttack's images
AUTOATTACK = ("attacks", "attacks=autoattack", "num_images=500", "robust_accuracy")


def rows(name):
    """The rows of docs/claims/NAME.csv, as dicts."""
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Results:
    """The numbers of all sweeps."""

    def __init__(self):
        self.numbers = {}
        for row in rows("results"):
            run = (row["flagfile"] or row["method"], row["ratio"])
            key = (row["record"], tuple(sorted(row["settings"].split())), row["quantity"])
            self.numbers.setdefault((run, key), {})[row["seed"]] = float(row["value"])

    def of(self, run, record, *needed):
        """{seed: value} of a run (flagfile, ratio); `needed`: settings, then the quantity. Empty if there is none."""
        *wanted, quantity = needed
        found = [
            values
            for (which, (kind, settings, name)), values in self.numbers.items()
            if (which, kind, name) == (run, record, quantity) and {*wanted} <= {*settings}
        ]
        return found[0] if found else {}


def points(run, measure=ROBUST):
    """results -> percentages of a run, one for each seed."""
    return lambda results: [100 * value for value in results.of(run, *measure).values()]


def numbers(run, *measure):
    """results -> the values of a run as they are, one for each seed."""
    return lambda results: list(results.of(run, *measure).values())


def lead(better, worse, measure=ROBUST):
    """results -> differences in percentage points, for the seeds that both runs have."""

    def differences(results):
        ours, theirs = results.of(better, *measure), results.of(worse, *measure)
        return [100 * (ours[seed] - theirs[seed]) for seed in ours if seed in theirs]

    return differences


def beyond(run, measure, other):
    """results -> percentage points by which one measure of a run is above another, seed by seed."""

    def differences(results):
        ours, theirs = results.of(run, *measure), results.of(run, *other)
        return [100 * (ours[seed] - theirs[seed]) for seed in ours if seed in theirs]

    return differences


def transferred(judge):
    """The accuracy of a net at eps 0.3, the last of the radii, on images crafted on the net that is asked."""
    return ("transfer", "radii=0.1,0.2,0.3", f"matrix.{judge}.2")


def growth(small, large):
    """results -> differences of two leads (better, worse), seed by seed."""

    def differences(results):
        leads = [[results.of(run, *ROBUST) for run in pair] for pair in (small, large)]
        seeds = set.intersection(*(set(values) for pair in leads for values in pair))
        return [100 * (leads[0][0][s] - leads[0][1][s] - leads[1][0][s] + leads[1][1][s]) for s in sorted(seeds)]

    return differences


def add(sweep):
    """Adds what the tables need of a sweep's results.csv and epochs.csv; replaces the numbers of a repeated record."""
    layers = lambda row: row["quantity"].startswith("layers.")
    merge("results", sweep, (*KEPT, "record", "settings"), ("quantity", "value"), lambda row: not layers(row))
    merge("epochs", sweep, KEPT, EPOCHS, lambda row: any(row[column] for column in EPOCHS[2:]))


def merge(name, sweep, keys, columns, wanted):
    """Rewrites docs/claims/NAME.csv: old rows whose `keys` the sweep does not have, then its wanted ones."""
    text = (Path(sweep) / f"{name}.csv").read_text()
    lines = re.sub(r"[^,;\s\"=]*/runs/flagfile-([^_]+)_ratio-[\d.]+_seed-\d+", r"\1", text).splitlines()  # nets by name
    new = [row for row in csv.DictReader(lines, restval="") if wanted(row)]
    key = lambda row: tuple(row.get(column, "") for column in keys)
    repeated = {key(row) for row in new}
    kept = [row for row in rows(name) if key(row) not in repeated]
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, (*keys, *columns), extrasaction="ignore", restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *new])
