"""bin/certify."""

import sys

from robust_tf.commands import run_command
from robust_tf.evaluation.certify_config import CertifyConfig


def work(config):
    from robust_tf.evaluation.certify import certify

    certify(config)


def main():
    named = sys.argv[1:2]
    if named and not named[0].startswith("-"):  # bin/certify FILE
        sys.argv[1] = f"--file={named[0]}"
    run_command("certify", CertifyConfig, lambda config: None, work)


if __name__ == "__main__":
    main()
