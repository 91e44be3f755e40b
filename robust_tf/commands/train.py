"""bin/train."""

import sys

from robust_tf.commands import run
from robust_tf.config import TrainConfig
from robust_tf.rundir import claimable


def work(config):
    from robust_tf.training.callbacks import TrainingFailed
    from robust_tf.training.run import train

    try:
        print(f"trained: {train(config)}")
    except TrainingFailed as failure:
        sys.exit(f"train: {failure}")


def main():
    run("train", TrainConfig, claimable, work)


if __name__ == "__main__":
    main()
