"""SweepConfig: the flags of bin/sweep."""

import dataclasses

from robust_tf.flags.declare import flag
from robust_tf.flags.kinds import MANY, TEXT, listed, whole


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """bin/sweep: trains, evaluates and exports a grid of runs; the same command resumes an interrupted sweep.

    It also takes every flag of bin/train except --workdir, --seed and --dry_run, for all runs; a run leaves out flags
    that do not apply to it. With --pretrain_epochs, runs that differ only in compression start from the same dense net,
    which is trained once, as its own run. A schedule given as epoch:value,... is split where the dense run ends;
    default and named learning rates start again after it, as in each stage of one run; eps and the attack's steps then
    stay at their final values. Runs with a schedule for the whole run (one_cycle) share no dense run.

    Files benchmark*.json in the sweep's folder, which the benchmark script wrote on devices for any of its runs, are in
    its report.
    """

    workdir: str = flag(TEXT, None, "folder of the sweep; default: runs/sweep-NAME, named after the flags")
    grid: tuple = flag(
        MANY,
        None,
        "FLAG=VALUE,VALUE,...: values of a flag of bin/train, separated by ; if they contain commas;"
        " flagfile=FILE,FILE,...: files of flags that change together; give it several times for all combinations; of"
        " a flag that is set twice the later value counts",
    )
    seeds: tuple = flag(
        listed(whole(0, 2**31 - 1)),
        "0",
        "seeds, comma-separated; each combination is trained with each seed; all are tested on the same images",
    )
    evaluate: tuple = flag(
        MANY,
        None,
        "flags of bin/evaluate, in quotes; give it once for each evaluation; {runs} in them is the folder of the"
        " sweep's runs and {seed} the run's seed, so that --targets and --natural can name finished runs of the same"
        " seed; default: one evaluation with default flags",
    )
    export: str = flag(TEXT, None, "flags of bin/export_tflite, in quotes; default: its default flags")
    jobs: int = flag(whole(1, 10_000), "1", "runs at the same time; they share the processors evenly")
    ray_address: str = flag(
        TEXT,
        None,
        "Ray cluster that runs the jobs: HOST:PORT, auto, or local for a new one on this machine; its machines must"
        " have robust_tf[ray] installed and see this folder under the same path; default: processes of this machine",
    )

    def checked(self):
        return self
