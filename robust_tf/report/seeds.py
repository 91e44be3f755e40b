"""Runs that differ in the seed alone: mean and spread of what they came to."""

import json
import statistics
from dataclasses import fields

from robust_tf.config import TrainConfig
from robust_tf.flags import idle
from robust_tf.report.figures import Figure, Missing
from robust_tf.report.overview import described, strictest

# No part of what a run tries: repetitions differ in them.
REPEATED = ("seed", "workdir", "data_dir", "init_from", "distribution", "dry_run", "checkpoint_every")
COLUMNS = ("runs", "weights", "clean", "robust", "seconds", "bytes", "worst over")


def seeds(runs):
    groups = {}
    for run in runs:
        alike = {key: value for key, value in run.config.items() if key not in REPEATED}
        groups.setdefault(json.dumps([alike, described(strictest(run))], sort_keys=True), []).append(run)
    if all(len(group) == 1 for group in groups.values()):
        return Missing("Mean and spread over seeds", "it takes runs that differ in the seed alone")
    meant = [settings(group[0]) for group in groups.values()]
    names = dict.fromkeys(name for each in meant for name in each)
    differing = [name for name in names if len({str(each[name]) for each in meant if name in each}) > 1]
    rows = [
        (" ".join(f"{name}={each[name]}" for name in differing if name in each) or "all", *spread(group))
        for each, group in zip(meant, groups.values())
    ]
    caption = (
        "Runs that differ in the seed alone, evaluated alike: mean ± standard deviation; seconds of training, bytes."
    )
    return Figure("seeds", "Mean and spread over seeds", caption, columns=("what", *COLUMNS), rows=rows)


def settings(run):
    """The flags that mean something to the run, without those of REPEATED."""
    config = TrainConfig(**{each.name: run.config.get(each.name) for each in fields(TrainConfig)})
    names = [each.name for each in fields(TrainConfig) if each.name not in REPEATED]
    nothing = {name for name, _, _ in idle(config, names)}
    return {name: run.config.get(name) for name in names if name not in nothing}


def measured(runs):
    """{quantity: its values, a list over those of the runs that have it}; accuracies are fractions."""
    robust = [strictest(run) for run in runs]
    found = {
        "weights": [run.summary.get("kernels_nonzero") for run in runs],
        "clean": [record.get("clean_accuracy") for record in robust],
        "robust": [record.get("robust_accuracy") for record in robust],
        "seconds": [run.summary.get("seconds") for run in runs],
        "bytes": [min((row["bytes"] for row in run.manifest.get("files", [])), default=None) for run in runs],
    }
    return {name: [value for value in values if value is not None] for name, values in found.items()}


def attacked(runs):
    """What the runs' robust accuracy is the worst over, as text."""
    return " | ".join(sorted({described(strictest(run)) for run in runs} - {""}))


def spread(runs):
    """The cells of COLUMNS for a group of runs, as text; with standard deviations where there are several."""
    shown = {"clean": fraction, "robust": fraction}
    numbers = [shown.get(name, counted)(values) if values else "" for name, values in measured(runs).items()]
    return (str(len(runs)), *numbers, attacked(runs))


def fraction(values):
    """ "mean ± standard deviation %" """
    spread = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.fmean(values):.2f}{spread} %"


def counted(values):
    """ "mean ± standard deviation", in whole units."""
    spread = f" ± {statistics.stdev(values):,.0f}" if len(set(values)) > 1 else ""
    return f"{statistics.fmean(values):,.0f}{spread}"


FIGURES = (seeds,)
