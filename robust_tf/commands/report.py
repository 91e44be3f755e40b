"""bin/report."""

from robust_tf.commands import run_command
from robust_tf.report.config import ReportConfig


def check(config):
    pass


def work(config):
    from robust_tf.report.page import report

    print(report(config))


def main():
    run_command("report", ReportConfig, check, work)


if __name__ == "__main__":
    main()
