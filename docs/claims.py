"""Writes docs/claims.md: the papers' claims, and what the sweeps of configs/claims measured, from docs/claims/*.csv.

bin/python docs/claims.py [SWEEP ...]

first adds the numbers of finished sweeps (their folders) to docs/claims/.
"""

import csv
import itertools
import re
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import scipy.stats

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "claims"
KEPT = ("flagfile", "ratio", "method", "seed")  # columns that tell runs apart
EPOCHS = ("epoch", "stage", "support_churn", "nonzero_U", "nonzero_V", "nonzero_C")
PGD = ("attacks", "attacks=pgd", "steps=100", "num_images=2000")
ROBUST, CLEAN = (*PGD, "robust_accuracy"), (*PGD, "clean_accuracy")
FIRST = ("attacks", "attacks=pgd", "steps=100", "num_images=500", "robust_accuracy")  # on AutoAttack's images
AUTOATTACK = ("attacks", "attacks=autoattack", "num_images=500", "robust_accuracy")
METHODS = ("nap", "alr", "ap", "admm", "l0", "atmc")
JUDGED = ("nap", "ap", "atmc", "admm")  # nets of the transfer matrix
RATIOS = ("0.05", "0.01", "0.003")
FACTORS = {
    "l0": "plain kernels, k falls over 3.6 epochs",
    "l0-masks": "plain kernels, k falls over 1.2 epochs, then fixed zeros",
    "l0-project-20": "plain kernels, a projection every 20 steps",
    "atmc": "as published: a projection after every step",
    "atmc-project-20": "a projection every 20 steps",
    "atmc-project-epoch": "a projection every epoch",
    "atmc-normalised": "magnitudes relative to their layer",
    "atmc-one-shot": "factorised before k falls",
    "atmc-svd": "the same, from the singular value decomposition",
    "atmc-admm": "the same, with ADMM in place of projections",
}


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


@dataclass(frozen=True)
class Check:
    """A part of a claim: it holds if the 95 % interval of the mean of values(results) is within [least, most]."""

    what: str
    values: Callable
    least: float = float("-inf")
    most: float = float("inf")

    def verdict(self, results):
        values = self.values(results)
        if len(values) < 2:
            return "not measured"
        low, high = interval(values)
        if self.least <= low and high <= self.most:
            return "holds"
        return "not seen" if high < self.least or low > self.most else "undecided"


def interval(values):
    """The 95 % interval of the mean by Student's t."""
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def measured(values, unit=""):
    """ "mean ± standard deviation [interval], n seeds" """
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}{unit} (one seed)"
    low, high = interval(values)
    return (
        f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}{unit} [{low:.1f}, {high:.1f}],"
        f" {len(values)} seeds"
    )


@dataclass(frozen=True)
class Claim:
    """says: what the paper says, with its number. ran: the sweep that tests it. untestable: why it is not tested."""

    source: str
    says: str
    ran: str = ""
    checks: tuple = ()
    untestable: str = ""

    def verdict(self, results):
        if self.untestable:
            return f"not testable here: {self.untestable}"
        found = {check.verdict(results) for check in self.checks} - {"not measured"}
        if not found:
            return "not measured yet"
        if found == {"holds"}:
            return "holds" if all(len(check.values(results)) > 1 for check in self.checks) else "holds so far"
        if "holds" in found:
            return "holds in part"
        return "not seen" if found == {"not seen"} else "undecided"


NOTHING = 5  # % robust accuracy up to which a net is called not robust: half of a guess among ten classes
CLAIMS = [
    Claim(
        "Gui et al., tables 7 to 10",
        "NAP is not robust (ResNet34, 1 %: 92.2 % clean, 2.9 % under IFGSM)",
        "methods",
        tuple(Check(f"NAP under PGD-100 at {float(r):.1%}, %", points(("nap", r)), most=NOTHING) for r in RATIOS),
    ),
    Claim(
        "Gui et al., tables 7 to 10",
        "ATMC is at least as robust as AP (ResNet34, 1 %: 70.9 against 69.0 % under IFGSM)",
        "methods",
        tuple(Check(f"ATMC - AP at {float(r):.1%}, points", lead(("atmc", r), ("ap", r)), least=0) for r in RATIOS),
    ),
    Claim(
        "Gui et al., tables 7 to 10",
        "AP is at least as robust as ALR (ResNet34, 1 %: 69.0 against 48.5 % under IFGSM)",
        "methods",
        tuple(Check(f"AP - ALR at {float(r):.1%}, points", lead(("ap", r), ("alr", r)), least=0) for r in RATIOS),
    ),
    Claim(
        "Gui et al., tables 7 to 10",
        "ATMC's lead over AP grows as the budget shrinks (ResNet34: 1.9 points at 1 %, 8.5 at 0.1 %)",
        "methods",
        tuple(
            Check(
                f"lead at {float(s):.1%} - lead at {float(b):.1%}, points",
                growth((("atmc", s), ("ap", s)), (("atmc", b), ("ap", b))),
                least=0,
            )
            for b, s in itertools.pairwise(RATIOS)
        ),
    ),
    Claim(
        "Gui et al., section 3",
        "the factors U and C make W = UV + C better than pruning alone",
        "factors",
        (
            Check("ATMC - l0, points", lead(("atmc", "0.01"), ("l0", "0.01")), least=0),
            Check("ATMC - l0 with fixed zeros, points", lead(("atmc", "0.01"), ("l0-masks", "0.01")), least=0),
        ),
    ),
    Claim(
        "Gui et al., tables 7 to 10",
        "8 bits cost ATMC little (ResNet34, 1 %: 70.9 % under IFGSM, 70.8 % in 8 bits)",
        "bits",
        tuple(
            Check(f"8 bits{how} - 32 bits, points", lead((f"atmc-8bit{name}", "0.01"), ("atmc", "0.01")), least=-1)
            for name, how in (("", ""), ("-centroids", ", k-means once"))
        ),
    ),
    Claim(
        "Gui et al., tables 7 to 10",
        "robustness carries over to FGSM, IFGSM and WRM: ATMC stays ahead of AP under each",
        "modes",
        tuple(
            Check(
                f"ATMC - AP under {attack.upper()}, eps {eps}, points",
                lead(("atmc", "0.01"), ("ap", "0.01"), ("generalise", f"eps={eps}", f"per_attack.{attack}")),
                least=0,
            )
            for eps, attack in (*itertools.product(("0.1", "0.2", "0.3"), ("fgsm", "ifgsm")), ("0.3", "wrm"))
        ),
    ),
    Claim(
        "thesis, algorithm 1",
        "one-shot ADMM, without dense start and fine-tuning, does as well as the staged pipeline",
        "thesis",
        tuple(
            Check(
                f"update every {u} - staged, points", lead((f"admm-one-shot-{u}", "0.01"), ("admm", "0.01")), least=-1
            )
            for u in ("step", "epoch")
        ),
    ),
    Claim(
        "thesis, 3.1",
        "an eps that grows trains better than a constant one",
        "thesis",
        (Check("growing - constant, points", lead(("admm", "0.01"), ("admm-constant-eps", "0.01")), least=0),),
    ),
    Claim(
        "thesis, 3.1",
        "attack steps that grow (7, 14, 21) train better than always 7",
        "thesis",
        (Check("growing - constant, points", lead(("admm-growing-steps", "0.01"), ("admm", "0.01")), least=0),),
    ),
    Claim(
        "thesis, chapter 4",
        "irregular, funnel and redundant projections show no consistent differences",
        "thesis",
        tuple(
            Check(f"{p} - irregular, points", lead((f"admm-{p}", "0.01"), ("admm", "0.01")), least=-1, most=1)
            for p in ("funnel", "redundant")
        ),
    ),
    Claim(
        "thesis, algorithm 3",
        "images crafted on a small robust net fool other nets less than those crafted on a natural net",
        "modes",
        tuple(
            Check(
                f"{judge.upper()} on images of {by.upper()} - on images of NAP, eps 0.3, points",
                lead((by, "0.01"), ("nap", "0.01"), transferred(judge)),
                least=0,
            )
            for judge, by in (("ap", "admm"), ("ap", "atmc"), ("atmc", "admm"))
        ),
    ),
    Claim(
        "thesis, table C.1",
        "the ensemble with a natural net is more robust than the robust net alone (ResNet34: 82.2 against 58.3 % under"
        " PGD)",
        "ensemble",
        tuple(
            Check(
                f"{name.upper()} with NAP, {what} - {name.upper()} alone, points", beyond((name, "0.01"), m, ROBUST), 0
            )
            for name in ("admm", "atmc")
            for what, m in (
                ("images crafted on the robust net", ("ensemble", "steps=100", "crafted_on.robust")),
                ("the worst attack", ("ensemble", "steps=100", "robust_accuracy")),
            )
        ),
    ),
    Claim(
        "thesis, table 4.2",
        "AutoAttack finds more than PGD",
        "autoattack",
        tuple(
            Check(f"{name}: PGD-100 - AutoAttack, points", beyond((name, "0.01"), FIRST, AUTOATTACK), least=0.5)
            for name in ("ap", "atmc", "admm", "l0")
        ),
    ),
    Claim(
        "Gui et al., tables 7 to 10",
        "on the papers' own LeNet, without ReLU after its convolutions, ATMC is at least as robust as AP",
        "linear",
        (Check("ATMC - AP at 1.0%, points", lead(("linear-atmc", "0.01"), ("linear-ap", "0.01")), least=0),),
    ),
    Claim(
        "both papers",
        "the figures of ResNet34, MobileNets, ShuffleNets, WRN-16-8 and the STL-10 net",
        untestable="a ResNet34 epoch with PGD-7 takes about 8 hours on 2 CPU cores; configs/papers has the commands",
    ),
]


def table(head, found):
    return "\n".join(
        ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(r) + " |" for r in found)]
    )


def claims_table(results):
    found = []
    for claim in CLAIMS:
        parts = [f"{c.what}: {measured(c.values(results))}: {c.verdict(results)}" for c in claim.checks]
        ran = f"`{claim.ran}.cfg`" if claim.ran else "-"
        found.append((claim.source, claim.says, ran, "<br>".join(parts) or "-", f"**{claim.verdict(results)}**"))
    return table(("source", "claim", "sweep", "mean ± standard deviation [95 % interval]", "verdict"), found)


def methods_table(results):
    found = []
    for ratio in RATIOS:
        for name in METHODS:
            run = (name, ratio)
            if values := results.of(run, *ROBUST):
                weights = results.of(run, "summary", "kernels_nonzero").values()
                clean, robust = (measured(points(run, m)(results), " %") for m in (CLEAN, ROBUST))
                found.append((f"{float(ratio):.1%}", name, f"{max(weights):,.0f}", clean, robust, str(len(values))))
    return table(("kept", "method", "weights", "clean", "PGD-100", "seeds"), found)


def transfer_table(results):
    """Accuracy at eps 0.3 of each net (columns) on images crafted on each net (rows)."""
    found = [
        (by, *(measured(points((by, "0.01"), transferred(judge))(results), " %") for judge in JUDGED)) for by in JUDGED
    ]
    return table(("crafted on", *JUDGED), found)


def linear_table(results):
    found = []
    for name in ("linear-ap", "linear-admm", "linear-l0", "linear-atmc"):
        if values := results.of((name, "0.01"), *ROBUST):
            clean, robust = (measured(points((name, "0.01"), m)(results), " %") for m in (CLEAN, ROBUST))
            found.append((f"`{name}`", clean, robust, str(len(values))))
    return table(("run", "clean", "PGD-100", "seeds"), found)


def factors_table(results):
    """Accuracy, entries of the factors in the net that ships, and new support between the last epochs."""
    churn = {}
    for row in rows("epochs"):
        if row["support_churn"] and row["ratio"] == "0.01":
            churn.setdefault((row["flagfile"], row["seed"]), []).append(float(row["support_churn"]))
    found = []
    for name, what in FACTORS.items():
        run = (name, "0.01")
        if not results.of(run, *ROBUST):
            continue
        entries = [statistics.fmean(sums) if (sums := entries_of(results, run, factor)) else None for factor in "UVC"]
        moved = [values for (flagfile, _), values in churn.items() if flagfile == name]
        found.append(
            (
                f"`{name}`", what, measured(points(run, CLEAN)(results), " %"), measured(points(run)(results), " %"),
                *("-" if each is None else f"{each:,.0f}" for each in entries),
                " ".join(f"{100 * statistics.fmean(epoch):.1f}" for epoch in zip(*moved)) or "-",
            )
        )  # fmt: skip
    head = ("run", "what", "clean", "PGD-100", "U'", "V", "C", "new support by epoch, %")
    return table(head, found)


def entries_of(results, run, factor):
    """Non-zero entries of a factor over all layers, for each seed."""
    layers = [results.of(run, "summary", f"factors.layers.{i}.{factor}") for i in range(100)]
    return [sum(values[seed] for values in layers if seed in values) for seed in layers[0]]


TEXT = """# The papers' claims, tested

Written by `bin/python docs/claims.py` from the numbers in docs/claims/. Each sweep is one command, which resumes:

    bin/sweep --flagfile=configs/claims/methods.cfg --grid=ratio=0.01 --seeds=0,1,2 --data_dir=DIR --workdir=SWEEP

with `methods.cfg`, `factors.cfg`, `thesis.cfg`, `bits.cfg`, `modes.cfg`, `ensemble.cfg`, `autoattack.cfg` or
`linear.cfg`; `bin/python docs/claims.py SWEEP` adds its numbers.
LeNet with ReLU on MNIST, eps 0.3, 430,500 weights when dense; 16 epochs of PGD-7 in all (of natural training
for NAP), of which 10 are the dense start that the runs of a seed share; PGD with 100 steps of 0.01 and one restart on
the first 2,000 test images. The checkpoint is chosen on held-out training images. PGD overestimates the robust accuracy
of MNIST nets (docs/results.md), for all rows here.

A part of a claim *holds* if the 95 % interval of its mean over seeds (Student's t) is on the side that the paper says,
is *not seen* if it is on the other side, and *undecided* if it is on both. Differences are taken seed by seed, as runs
of a seed share their dense start. "Holds so far": not all parts have been measured.

## Claims

{claims}

## Methods

{methods}

## What ATMC's factors do

At 1 % of the weights. U', V, C: non-zero entries in the net that ships, the mean over seeds. New support: of the
non-zero entries of the net that would ship after an epoch, the part that was zero one epoch before, from the second
epoch of each stage on.

{factors}

## Transfer

At 1 % of the weights: accuracy of the net of each column, at eps 0.3, on images that PGD-20 crafted on the net of each
row (`modes.cfg`, 2,000 images). On the diagonal a net is attacked itself.

{transfer}

## The papers' own LeNet

Without ReLU after the convolutions, at 1 % of the weights (`linear.cfg`).

{linear}
"""


def text():
    results = Results()
    parts = {
        "claims": claims_table, "methods": methods_table, "factors": factors_table, "transfer": transfer_table,
        "linear": linear_table,
    }  # fmt: skip
    return TEXT.format(**{name: write(results) for name, write in parts.items()})


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


def main():
    for sweep in sys.argv[1:]:
        add(sweep)
    (ROOT / "docs" / "claims.md").write_text(text())


if __name__ == "__main__":
    main()
