"""The report: figures of the records in run directories, on one page. It measures nothing.

runs.py        reads a run directory, and lists what is missing
labels.py      names the evaluations of a run
strictest.py   selects the evaluation that gives a run's robust accuracy
SECTIONS       tuples of functions, [ReportedRun] -> a Figure, a Missing or a list of them, in the page's order; those
               of evaluation modes are in the modes' files
page.py        writes report.html, and the figures as files
"""

from robust_tf.registry import Entry

SECTIONS = {
    "Overview": Entry(address="robust_tf.report.overview:FIGURES"),
    "Repetitions": Entry(address="robust_tf.report.seeds:FIGURES"),
    "Training": Entry(address="robust_tf.report.training:FIGURES"),
    "Evaluation": Entry(address="robust_tf.report.modes:FIGURES"),
    "Compression": Entry(address="robust_tf.report.compression:FIGURES"),
    "Weights": Entry(address="robust_tf.report.weights:FIGURES"),
    "Exported files": Entry(address="robust_tf.report.device:FIGURES"),
    "Configuration": Entry(address="robust_tf.report.overview:CONFIGURATION"),
}
