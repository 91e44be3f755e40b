"""bin/export_tflite."""

from pathlib import Path

from robust_tf.commands import run
from robust_tf.config import ExportConfig
from robust_tf.rundir import locked, trained


def check(config):
    trained(config.workdir)


def work(config):
    from export import lint
    from export.tflite import current, export

    manifest = current(config) if config.lint and not config.bundle else None
    if manifest is None:
        with locked(config.workdir):
            manifest = export(config)
    for row in manifest["files"] if config.lint else ():
        path = Path(config.workdir) / "export" / row["file"]
        lint.show(path, lint.lint(path))


def main():
    run("export_tflite", ExportConfig, check, work)


if __name__ == "__main__":
    main()
