"""bin/export_tflite."""

from robust_tf.commands import run
from robust_tf.config import ExportConfig
from robust_tf.rundir import trained


def check(config):
    trained(config.workdir)


def work(config):
    from export.tflite import export

    export(config)


def main():
    run("export_tflite", ExportConfig, check, work)


if __name__ == "__main__":
    main()
