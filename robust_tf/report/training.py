"""Curves of training (thesis, figures 4.3, 4.4 and B.4)."""

from robust_tf.report.figures import Figure, Missing, lines

ACCURACIES = {
    "val_accuracy": "clean, held out",
    "val_robust_accuracy": "under PGD, held out",
    "val_certified_accuracy": "certified, held out",
    "accuracy": "clean, training",
    "robust_accuracy": "under attack, training",
}
LOSSES = {
    "clean_loss": "clean, training",
    "adversarial_loss": "adversarial, training",
    "val_clean_loss": "clean, held out",
    "val_adversarial_loss": "adversarial, held out",
}
SCHEDULES = {"eps": "eps", "steps": "attack steps", "learning_rate": "learning rate", "k": "k, weights that may stay"}
RESIDUALS = {
    "primal_residual": "||W - Z||",
    "dual_residual": "rho ||Z - Z before||",
    "churn": "support that changed",
    "rho": "rho",
}


def training(runs):
    found = []
    for run in runs:
        key, head = f"training-{run.name.replace('/', '-')}", f"{run.name}: "
        if not run.history:
            found.append(Missing(f"{head}curves of training", "history.csv is not there"))
            continue
        found.append(curves(run, f"{key}-accuracy", f"{head}accuracy", ACCURACIES, "%", "accuracy"))
        found.append(curves(run, f"{key}-loss", f"{head}loss", LOSSES, ".3f", "cross-entropy"))
        for column, title in SCHEDULES.items():
            values = {row[column] for row in run.history if column in row}
            if len(values) > 1:
                found.append(curves(run, f"{key}-{column}", f"{head}{title}", {column: title}, "", title))
        if any("primal_residual" in row for row in run.history):
            found.append(curves(run, f"{key}-admm", f"{head}ADMM", RESIDUALS, "", "residuals and rho"))
    return found


def curves(run, key, title, columns, y_format, y_title):
    """The columns of history.csv that have numbers, by epoch."""
    rows = [
        {"epoch": row["epoch"] + 1, "value": row[column], "what": name, "stage": row["stage"]}
        for column, name in columns.items()
        for row in run.history
        if column in row
    ]
    chart = lines(rows, ("epoch", "epoch"), ("value", y_title), "what", y_format=y_format, tooltip=("stage:N",), step=1)
    return Figure(key, title, "By epoch, over all stages of the run.", chart=chart)


FIGURES = (training,)
