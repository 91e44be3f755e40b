"""bin/export_tflite."""

from robust_tf.commands import run_command
from robust_tf.export.config import ExportConfig
from robust_tf.training.rundir import RunDirectory


def check(config):
    RunDirectory.open(config.workdir)


def work(config):
    from robust_tf.export import lint
    from robust_tf.export.tflite import covers, current, export, extended, show_left_out

    manifest = current(config) if config.lint and not config.bundle else None
    if manifest and covers(manifest, config):
        show_left_out(manifest, config.formats)
    else:
        with RunDirectory(config.workdir).locked():
            manifest = export(extended(config, manifest) if manifest else config)
    for file in manifest.files if config.lint else ():
        if file.format in config.formats:
            path = RunDirectory(config.workdir).export / file.file
            lint.show(path, lint.lint(path))


def main():
    run_command("export_tflite", ExportConfig, check, work)


if __name__ == "__main__":
    main()
