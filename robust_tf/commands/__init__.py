"""The commands: flags -> Config -> one call. `run` turns a Refusal into one line and exit code 2."""

import sys

from absl import logging

from robust_tf.config import help_text, parse
from robust_tf.refusal import Refusal
from robust_tf.terminal import quiet


def run(name, Config, check, work):
    """Parses sys.argv into Config and calls check(config), then work(config).

    TensorFlow is imported between the two, so that what parsing or `check` refuses is refused in a moment.
    """
    argv = sys.argv[1:]
    if {"-h", "--help", "-help"} & set(argv):
        print(help_text(Config))
        return
    try:
        config = parse(Config, argv)
        check(config)
        logging.set_verbosity(logging.ERROR)  # absl's; what a user must know is printed
        with quiet():
            import tensorflow
            import tf_keras  # noqa: F401
        tensorflow.get_logger().setLevel("ERROR")  # its warnings of retracing are for developers
        work(config)
    except Refusal as refusal:
        print(f"{name}: {' '.join(str(refusal).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the same command starts again, training from its last checkpoint", file=sys.stderr)
        sys.exit(130)
