"""The runs' dense nets beside those that the papers print (thesis, table 4.1; Gui et al., tables 1 and 2)."""

from robust_tf.drawing.figures import Figure
from robust_tf.drawing.papers import printed
from robust_tf.drawing.words import described, percent
from robust_tf.report.strictest import strictest

TABLES = {  # name: (source, what an accuracy of 1 is printed as)
    "thesis_table_4_1": ("thesis, table 4.1", 100),
    "atmc_table_1": ("Gui et al., table 1", 1),
    "atmc_table_2": ("Gui et al., table 2", 1),
}


def beside_printed(runs):
    """Nothing where the papers print no net of the runs' data sets, architectures and methods."""
    rows = [row for run in runs for row in rows_of(run)]
    if not rows:
        return []
    caption = (
        "Nets of the same data set, architecture, width and method. IFGSM: of Gui et al., eps 0.06; ours: the run's"
        " robust accuracy, see the attacks."
    )
    columns = ("run", "source", "clean", "printed clean", "robust", "attacks", "printed, IFGSM")
    return Figure("printed", "Beside the papers' nets", caption, columns=columns, rows=rows)


def rows_of(run):
    """A row for each printed net that is trained as the run."""
    record = strictest(run)
    if record is None:
        return []
    trained = (run.config.dataset, run.config.model, run.config.method, run.config.width)
    found = []
    for table, (source, whole) in TABLES.items():
        for net in printed(table):
            if (net["dataset"], net["model"], net["training"], net.get("width", 1.0)) == trained:
                clean, ifgsm = (percent(net[name] / whole) if name in net else "" for name in ("clean", "ifgsm"))
                ours, robust = percent(record.clean_accuracy), percent(record.robust_accuracy)
                found.append((run.name, source, ours, clean, robust, described(record), ifgsm))
    return found


FIGURES = (beside_printed,)
