"""The commands: flags -> Config -> one call. `run` turns a Refusal into one line and exit code 2."""

import sys

from robust_tf.config import help_text, parse
from robust_tf.refusal import Refusal
from robust_tf.terminal import quiet


def run(name, Config, work):
    """Parses sys.argv into Config and calls work(config); TensorFlow is imported by `work`, not before."""
    argv = sys.argv[1:]
    if {"-h", "--help", "-help"} & set(argv):
        print(help_text(Config))
        return
    try:
        config = parse(Config, argv)
        with quiet():
            import tensorflow  # noqa: F401
            import tf_keras  # noqa: F401
        work(config)
    except Refusal as refusal:
        sys.exit(stop(name, refusal))
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)


def stop(name, refusal):
    """Prints the one line of a refusal; returns exit code 2."""
    print(f"{name}: {' '.join(str(refusal).split())}", file=sys.stderr)
    return 2
