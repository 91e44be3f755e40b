"""Selects the evaluation that gives a run's robust accuracy."""


def strictest(run):
    """The record of mode attacks with the least robust accuracy at the radius and norm that the run was trained for.

    Records at other radii do not count: a smaller radius would overestimate robustness, a larger one underestimate it.
    None without such a record.
    """
    if run.config is None:
        return None
    fitting = [
        record for record in run.records("attacks") if (record.eps, record.norm) == (run.config.eps, run.config.norm)
    ]
    return min(fitting, key=lambda record: record.robust_accuracy, default=None)
