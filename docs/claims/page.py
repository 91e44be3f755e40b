"""Writes docs/claims.md: the papers' claims, and what the sweeps of configs/claims measured.

bin/python docs/claims/page.py [SWEEP ...]

first adds the numbers of finished sweeps (their folders) to the .csv files beside it.
"""

import statistics
import sys

from measurements import CLEAN, FOLDER, ROBUST, Results, add, points, rows, transferred
from statements import CLAIMS, RATIOS
from verdicts import measured

METHODS = ("nap", "alr", "ap", "admm", "l0", "atmc")
JUDGED = ("nap", "ap", "atmc", "admm")  # nets of the transfer matrix
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

Written by `bin/python docs/claims/page.py` from the numbers in docs/claims/. Each sweep is one command, which resumes:

    bin/sweep --flagfile=configs/claims/methods.cfg --grid=ratio=0.01 --seeds=0,1,2 --data_dir=DIR --workdir=SWEEP

with `methods.cfg`, `factors.cfg`, `thesis.cfg`, `bits.cfg`, `modes.cfg`, `ensemble.cfg`, `autoattack.cfg` or
`linear.cfg`; `bin/python docs/claims/page.py SWEEP` adds its numbers.
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


def main():
    for sweep in sys.argv[1:]:
        add(sweep)
    FOLDER.with_suffix(".md").write_text(text())


if __name__ == "__main__":
    main()
