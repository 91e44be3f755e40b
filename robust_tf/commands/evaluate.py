"""bin/evaluate."""

from robust_tf.commands import run
from robust_tf.config import EvaluateConfig


def work(config):
    from robust_tf.evaluation.run import evaluate

    evaluate(config)


def main():
    run("evaluate", EvaluateConfig, work)


if __name__ == "__main__":
    main()
