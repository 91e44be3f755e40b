"""bin/train."""

import sys

from robust_tf.commands import run
from robust_tf.config import TrainConfig
from robust_tf.data import described
from robust_tf.rundir import claimable


def check(config):
    described(config.dataset, config.data_dir, config.image_size)
    if not config.dry_run and config.distribution != "multiworker":
        claimable(config)


def work(config):
    if config.dry_run:
        from robust_tf.training.dry_run import dry_run

        return dry_run(config)
    from robust_tf.training.checkpoints import Stopped
    from robust_tf.training.guards import TrainingFailed
    from robust_tf.training.run import train

    try:
        print(f"trained: {train(config) or 'the first worker has the run directory'}")
    except Stopped as stopped:
        print(f"train: {stopped}")
    except TrainingFailed as failure:
        sys.exit(f"train: {failure}")


def main():
    run("train", TrainConfig, check, work)


if __name__ == "__main__":
    main()
