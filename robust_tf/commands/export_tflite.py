"""bin/export_tflite."""

from robust_tf.commands import run
from robust_tf.config import ExportConfig


def work(config):
    from export.tflite import export

    export(config)


def main():
    run("export_tflite", ExportConfig, work)


if __name__ == "__main__":
    main()
