"""Runs that differ only in the seed: mean and standard deviation of their results."""

import statistics
from dataclasses import fields

from robust_tf.drawing.figures import Figure, Missing
from robust_tf.drawing.words import described
from robust_tf.flags.meaning import meant as meant_flags
from robust_tf.report.overview import shown
from robust_tf.report.strictest import strictest

# Flags in which repetitions of a run may differ.
REPEATED = ("seed", "workdir", "data_dir", "init_from", "distribution", "dry_run", "checkpoint_every")
COLUMNS = ("runs", "weights", "clean", "robust", "seconds", "bytes", "worst over")


def seeds(runs):
    groups = {}
    for run in runs:
        if run.config:
            groups.setdefault((identifying_flags(run), described(strictest(run))), []).append(run)
    if all(len(group) == 1 for group in groups.values()):
        return Missing("Mean and standard deviation over seeds", "this figure needs runs that differ only in the seed")
    meant = [dict(flags) for flags, _ in groups]
    names = dict.fromkeys(name for each in meant for name in each)
    differing = [name for name in names if len({each[name] for each in meant if name in each}) > 1]
    rows = [
        (" ".join(f"{name}={shown(each[name])}" for name in differing if name in each) or "all", *spread(group))
        for each, group in zip(meant, groups.values())
    ]
    caption = (
        "Runs that differ only in the seed, with the same evaluation: mean ± standard deviation; seconds of training,"
        " bytes of the smallest file."
    )
    return Figure("seeds", "Mean and standard deviation over seeds", caption, columns=("what", *COLUMNS), rows=rows)


def identifying_flags(run):
    """(flag, value) for the flags that apply to the run, without those of REPEATED."""
    useful = meant_flags(run.config)
    names = [each.name for each in fields(run.config) if each.name in useful and each.name not in REPEATED]
    return tuple((name, getattr(run.config, name)) for name in names)


def measured(runs):
    """{quantity: list of its values, one for each run that has it}; accuracies are fractions."""
    robust = [record for record in map(strictest, runs) if record]
    summaries = [run.summary for run in runs if run.summary]
    return {
        "weights": [summary.kernels_nonzero for summary in summaries],
        "clean": [record.clean_accuracy for record in robust],
        "robust": [record.robust_accuracy for record in robust],
        "seconds": [summary.seconds for summary in summaries],
        "bytes": [min(file.bytes for file in run.files) for run in runs if run.files],
    }


def attacked(runs):
    """The attacks under which the runs' robust accuracy was measured, as text."""
    return " | ".join(sorted({described(strictest(run)) for run in runs} - {""}))


def spread(runs):
    """The cells of COLUMNS for a group of runs, as text; standard deviations where there are several values."""
    formats = {"clean": fraction, "robust": fraction}
    numbers = [formats.get(name, counted)(values) if values else "" for name, values in measured(runs).items()]
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
