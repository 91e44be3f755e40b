"""bin/certify."""

from robust_tf.commands import run_command
from robust_tf.evaluation.certify_config import CertifyConfig


def work(config):
    from robust_tf.evaluation.certify import certify

    certify(config)


def main():
    run_command("certify", CertifyConfig, lambda config: None, work, first="file")


if __name__ == "__main__":
    main()
