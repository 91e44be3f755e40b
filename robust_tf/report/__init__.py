"""The report: what run directories say, as figures on one page.

runs.py       a run directory, read; what is not there is named
figures.py    what a section is made of: charts, tables, pictures, or a line about what is missing
SECTIONS      tuples of functions, [Run] -> a Figure, a Missing or a list of them, in the page's order
page.py       sections -> report.html and the figures as files
papers.json   what the two papers print, drawn beside ours
"""

from robust_tf.registry import Entry

SECTIONS = {
    "Overview": Entry("robust_tf.report.overview:FIGURES"),
    "Repetitions": Entry("robust_tf.report.seeds:FIGURES"),
    "Training": Entry("robust_tf.report.training:FIGURES"),
    "Robustness": Entry("robust_tf.report.robustness:FIGURES"),
    "Compression": Entry("robust_tf.report.compression:FIGURES"),
    "Weights": Entry("robust_tf.report.weights:FIGURES"),
    "Pictures": Entry("robust_tf.report.pictures:FIGURES"),
    "Saliency": Entry("robust_tf.report.saliency:FIGURES"),
    "Features": Entry("robust_tf.report.usefulness:FIGURES"),
    "On the device": Entry("robust_tf.report.device:FIGURES"),
    "Configuration": Entry("robust_tf.report.overview:CONFIGURATION"),
}
