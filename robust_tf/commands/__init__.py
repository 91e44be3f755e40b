"""The commands: flags -> Config -> one call. `run` turns a Refusal into one line and exit code 2."""

import contextlib
import os
import sys

from absl import logging

from robust_tf.config import parse
from robust_tf.flags import help_text
from robust_tf.refusal import Refusal
from robust_tf.terminal import quiet


def run(name, Config, check, work):
    """Parses sys.argv into Config and calls check(config), then work(config).

    TensorFlow is imported between the two, so that what parsing or `check` refuses is refused in a moment.
    """
    with one_line(name):
        if asked_for_help(Config):
            return
        config = parse(Config, sys.argv[1:])
        check(config)
        logging.set_verbosity(logging.ERROR)  # absl's; what a user must know is printed
        with quiet():
            import tensorflow
            import tf_keras  # noqa: F401
        tensorflow.get_logger().setLevel("ERROR")  # its warnings of retracing are for developers
        work(config)


def asked_for_help(Config):
    """Whether --help stands on the command line; if so, prints it."""
    asked = bool({"-h", "--help", "-help"} & set(sys.argv[1:]))
    if asked:
        print(help_text(Config))
    return asked


@contextlib.contextmanager
def one_line(name):
    """Turns a Refusal, what the system refuses (a full disk, a folder without rights), and Ctrl-C into one line and an
    exit code."""
    try:
        yield
    except Refusal as refusal:
        print(f"{name}: {' '.join(str(refusal).split())}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # whoever read the output has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the same command starts again, training from its last checkpoint", file=sys.stderr)
        sys.exit(130)
