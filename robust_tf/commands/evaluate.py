"""bin/evaluate."""

from robust_tf.commands import run
from robust_tf.config import EvaluateConfig
from robust_tf.evaluation.settings import settings
from robust_tf.rundir import trained


def check(config):
    settings(config, trained(config.workdir)[0])
    for other in (*(config.targets or ()), *filter(None, [config.natural])):
        trained(other)


def work(config):
    from robust_tf.evaluation.run import evaluate

    evaluate(config)


def main():
    run("evaluate", EvaluateConfig, check, work)


if __name__ == "__main__":
    main()
