"""bin/sweep."""

import sys

from robust_tf.commands import asked_for_help, one_line
from robust_tf.flags.declare import divided, parse
from robust_tf.sweep.config import SweepConfig
from robust_tf.terminal import number_of
from robust_tf.training.config import TrainConfig


def main():
    with one_line("sweep"):
        if asked_for_help(SweepConfig):
            return
        own, flags = divided(sys.argv[1:], SweepConfig, TrainConfig)
        config = parse(SweepConfig, own)
        from robust_tf.sweep.plan import plan
        from robust_tf.sweep.sweep import sweep

        failed = sweep(plan(config, flags))
    if failed:
        sys.exit(f"sweep: {number_of(failed, 'job')} failed; the same command tries again")


if __name__ == "__main__":
    main()
