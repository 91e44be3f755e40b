"""The commands: flags -> configuration -> one call. A Refusal becomes one line and exit code 2."""

import contextlib
import os
import sys
import warnings

from absl import logging

from robust_tf.flags.declare import help_text, parse
from robust_tf.refusal import Refusal
from robust_tf.terminal import busy, escaped, quiet

# What the same command does after Ctrl-C, where it does not start again.
AGAIN = {
    "train": "resumes training from its last checkpoint",
    "evaluate": "starts again; AutoAttack and certificates resume",
    "sweep": "goes on with the runs that are not finished, each from its last checkpoint",
}


def run_command(name, Config, check, work, first=None):
    """Parses sys.argv into Config and calls check(config), then work(config).

    first: the flag that the first word of the command line gives, where it is no flag.

    TensorFlow is imported between the two, so that parsing and `check` refuse bad input quickly.
    """
    with one_line(name):
        if asked_for_help(Config):
            return
        argv = sys.argv[1:]
        if first and argv and not argv[0].startswith("-"):
            argv[0] = f"--{first}={argv[0]}"
        config = parse(Config, argv)
        check(config)
        logging.set_verbosity(logging.ERROR)  # of absl; commands print what a user must know
        warnings.filterwarnings("ignore", module="PIL")  # on metadata, and on sizes that it still decodes
        with busy("loading TensorFlow"), quiet():
            import tensorflow
            import tf_keras  # noqa: F401
        tensorflow.get_logger().setLevel("ERROR")  # its warnings about retracing are for developers
        work(config)


def asked_for_help(Config):
    """Whether --help is on the command line; if so, prints the help."""
    asked = bool({"-h", "--help", "-help"} & set(sys.argv[1:]))
    if asked:
        print(help_text(Config))
    return asked


@contextlib.contextmanager
def one_line(name):
    """Turns a Refusal, an OSError (such as a full disk) and Ctrl-C into one line and an exit code."""
    try:
        yield
    except Refusal as refusal:
        print(f"{name}: {escaped(' '.join(str(refusal).split()))}", file=sys.stderr)
        sys.exit(refusal.exit_code)
    except BrokenPipeError:  # the reader of the output, such as head, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        print(f"{name}: {escaped(' '.join(str(error).split()))}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        again = AGAIN.get(name, "starts again")
        print(f"{name}: interrupted; the same command {again}", file=sys.stderr)
        sys.exit(130)
