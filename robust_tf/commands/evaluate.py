"""bin/evaluate."""

import sys
from pathlib import Path

from robust_tf.commands import run_command
from robust_tf.evaluation import MODES
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.evaluation.requirements import shortfalls
from robust_tf.evaluation.settings import resolved
from robust_tf.records.record import read
from robust_tf.refusal import Refusal
from robust_tf.training.rundir import RunDirectory


def check(config):
    resolved(config, RunDirectory.open(config.workdir).config)
    for target in config.targets or ():
        RunDirectory.open(target, "targets")
    if config.natural:
        RunDirectory.open(config.natural, "natural")
        if Path(config.natural).resolve() == Path(config.workdir).resolve():
            raise Refusal(f"--natural={config.natural}: expected another run than --workdir; got the same")


def work(config):
    from robust_tf.evaluation.run import evaluate

    with RunDirectory(config.workdir).locked():
        path = evaluate(config)
    short = shortfalls(read(path, MODES[config.mode].Record), config.require)
    if short:
        print(f"evaluate: --require: {'; '.join(short)}", file=sys.stderr)
        sys.exit(1)


def main():
    run_command("evaluate", EvaluateConfig, check, work)


if __name__ == "__main__":
    main()
