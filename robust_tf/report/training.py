"""Training curves (thesis, figures 4.3, 4.4 and B.4)."""

from robust_tf.drawing.figures import Figure, Missing, lines

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
SCHEDULES = {
    "eps": "eps",
    "steps": "attack steps",
    "learning_rate": "learning rate",
    "k": "k, weights that may be kept",
}
RESIDUALS = {
    "primal_residual": "||W - Z||",
    "dual_residual": "rho ||Z - previous Z||",
    "churn": "new fraction of the support",
    "rho": "rho",
}
FEW = 10


def training(runs):
    found = []
    for run in runs:
        key, head = f"training-{run.key}", f"{run.name}: "
        if not run.history:
            found.append(Missing(f"{head}training curves", "there is no history.csv with epochs"))
            continue
        found.append(curves(run, f"{key}-accuracy", f"{head}accuracy", ACCURACIES, "%", "accuracy"))
        found.append(curves(run, f"{key}-loss", f"{head}loss", LOSSES, ".3f", "cross-entropy"))
        for column, title in SCHEDULES.items():
            values = {getattr(row, column) for row in run.history} - {None}
            if len(values) > 1:
                found.append(curves(run, f"{key}-{column}", f"{head}{title}", {column: title}, "", title))
        if any(row.primal_residual is not None for row in run.history):
            found.append(curves(run, f"{key}-admm", f"{head}ADMM", RESIDUALS, "", "residuals and rho"))
    return found


def curves(run, key, title, columns, y_format, y_title):
    """A Figure of columns of history.csv, by epoch, without empty cells; a Missing where all are empty."""
    rows = [
        {"epoch": row.epoch + 1, "value": getattr(row, column), "what": name, "stage": row.stage}
        for column, name in columns.items()
        for row in run.history
        if getattr(row, column) is not None
    ]
    if not rows:
        return Missing(title, "history.csv has no such numbers")
    epochs = sorted({row["epoch"] for row in rows})
    ticks = epochs if len(epochs) <= FEW else ()  # between few epochs the chart would mark halves
    chart = lines(
        rows, ("epoch", "epoch"), ("value", y_title), "what", y_format=y_format, tooltip=("stage:N",), ticks=ticks
    )
    return Figure(key, title, "By epoch, over all stages of the run.", chart=chart)


FIGURES = (training,)
