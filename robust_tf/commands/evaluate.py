"""bin/evaluate."""

from pathlib import Path

from robust_tf.commands import run
from robust_tf.config import EvaluateConfig
from robust_tf.evaluation.settings import settings
from robust_tf.refusal import Refusal
from robust_tf.rundir import locked, trained


def check(config):
    settings(config, trained(config.workdir)[0])
    for target in config.targets or ():
        trained(target, "targets")
    if config.natural:
        trained(config.natural, "natural")
        if Path(config.natural).resolve() == Path(config.workdir).resolve():
            raise Refusal(f"--natural={config.natural}: expected another run than --workdir; got the same")


def work(config):
    from robust_tf.evaluation.run import evaluate

    with locked(config.workdir):
        evaluate(config)


def main():
    run("evaluate", EvaluateConfig, check, work)


if __name__ == "__main__":
    main()
