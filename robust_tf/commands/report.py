"""bin/report."""

from robust_tf.commands import run
from robust_tf.config import ReportConfig


def check(config):
    pass


def work(config):
    from robust_tf.report.page import report

    print(report(config))


def main():
    run("report", ReportConfig, check, work)


if __name__ == "__main__":
    main()
