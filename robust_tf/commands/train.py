"""bin/train."""

import sys

from robust_tf.commands import run_command
from robust_tf.data import check_folder
from robust_tf.flags.kinds import names_file
from robust_tf.training.config import TrainConfig
from robust_tf.training.images import finished_without_images
from robust_tf.training.rundir import RunDirectory, imported_by


def check(config):
    if config.dry_run or config.distribution == "multiworker" or not finished_without_images(config):
        check_folder(config)
    if names_file(config.model):
        imported_by(config)
    if config.distribution != "multiworker":
        RunDirectory.for_config(config)


def work(config):
    if config.dry_run:
        from robust_tf.export import forecast
        from robust_tf.training.dry_run import dry_run

        return forecast.show(forecast.forecast(dry_run(config)))
    from robust_tf.training.callbacks.stopping import Stopped
    from robust_tf.training.failure import TrainingFailed
    from robust_tf.training.run import train

    try:
        run = train(config)
        if run and (guess := run.summary().guess):
            print(f"warning: {guess}")
        print(f"trained: {run.path if run else 'the first worker has the run directory'}")
    except Stopped as stopped:
        print(f"train: {stopped}")
    except TrainingFailed as failure:
        sys.exit(f"train: {failure}")


def main():
    run_command("train", TrainConfig, check, work)


if __name__ == "__main__":
    main()
