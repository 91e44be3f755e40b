"""Accuracy against the size of the net (Gui et al., figures 1, 2, 4, 5, 6; thesis, B.1)."""

import altair as alt

from robust_tf.drawing.figures import BELOW_IN_ROWS, COLOURS, HEIGHT, WIDTH, Figure, Missing
from robust_tf.drawing.papers import printed
from robust_tf.report.strictest import strictest

TICKS = [factor * power for power in (1e-4, 1e-3, 0.01, 0.1) for factor in (1, 2, 5)] + [1]


def points(runs):
    """A row for each accuracy of each run."""
    rows = []
    for run in runs:
        record = strictest(run)
        if record is None or run.summary is None:
            continue
        common = {
            "net": run.name,
            "method": run.summary.method,
            "kept": run.summary.ratio,
            "weights": run.summary.kernels_nonzero,
            "source": "ours",
        }
        attack = f"worst over {', '.join(record.attacks)}, eps {record.eps:.3g}"
        rows.append({**common, "accuracy": record.clean_accuracy, "under": "clean"})
        rows.append({**common, "accuracy": record.robust_accuracy, "under": "attack", "attack": attack})
    return rows


def printed_points(runs, table):
    """The same rows for what a table of Gui et al. prints for the runs' data sets."""
    datasets = {run.config.dataset for run in runs if run.config}
    rows = []
    for row in printed(table):
        if row["dataset"] in datasets:
            method = row.get("method") or "dense, adversarial"
            size = f"{row['ratio']:.1%} of the weights" if "ratio" in row else f"width {row['width']:g}"
            common = {
                "net": f"{row['model']}, {method}, {size}",
                "model": row["model"],
                "method": method,
                "kept": row.get("ratio", 1.0),
                "weights": row["nonzero"],
                "source": "printed in Gui et al.",
            }
            rows.append({**common, "accuracy": row["clean"], "under": "clean"})
            rows.append({**common, "accuracy": row["ifgsm"], "under": "attack", "attack": "IFGSM, eps 0.06"})
    return rows


def by_ratio(runs):
    models = {run.config.model for run in runs if run.config}
    rows = points(runs) + [row for row in printed_points(runs, "atmc_tables_7_to_10") if row["model"] in models]
    if len({row["kept"] for row in rows}) < 2:
        return Missing("Accuracy against weights kept", "this figure needs two evaluated runs of different sizes")
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "kept:Q",
            title="fraction of the kernel weights that is kept",
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(format="%", values=TICKS),
        ),
        y=alt.Y("accuracy:Q", title="accuracy on test images", axis=alt.Axis(format="%")),
        color=alt.Color("method:N", title=None, scale=alt.Scale(range=COLOURS), legend=BELOW_IN_ROWS),
        detail="source:N",
        tooltip=["net:N", "weights:Q", alt.Tooltip("accuracy:Q", format=".2%"), "under:N", "attack:N", "source:N"],
    )
    layers = base.mark_line(strokeWidth=1) + base.mark_point(size=80, filled=True).encode(shape=source_shape(rows))
    chart = layers.properties(width=WIDTH, height=HEIGHT).facet(row=alt.Row("under:N", title=None))
    caption = "Under attack: the run's robust accuracy, as in the overview. Lines connect the runs of a method."
    return Figure("accuracy-by-ratio", "Accuracy against weights kept", caption, chart=chart)


def source_shape(rows):
    """The shape of a mark, which tells printed numbers from ours; with a legend if there are both."""
    legend = BELOW_IN_ROWS if len({row["source"] for row in rows}) > 1 else None
    return alt.Shape("source:N", title=None, legend=legend)


def trade_off(runs):
    by_net = {}
    theirs = printed_points(runs, "atmc_tables_7_to_10") + printed_points(runs, "atmc_tables_3_to_6")
    for row in points(runs) + theirs:
        name = "clean" if row["under"] == "clean" else "robust"
        by_net.setdefault((row["net"], row["kept"], row["source"]), dict(row))[name] = row["accuracy"]
    rows = list(by_net.values())
    if len(points(runs)) < 4:
        return Missing("Clean against robust accuracy", "this figure needs two evaluated runs")
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_point(filled=True, opacity=0.8)
        .encode(
            x=alt.X("clean:Q", title="clean accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
            y=alt.Y("robust:Q", title="robust accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
            size=alt.Size("weights:Q", title="weights", scale=alt.Scale(type="log", range=[40, 700])),
            color=alt.Color("method:N", title=None, scale=alt.Scale(range=COLOURS), legend=BELOW_IN_ROWS),
            shape=source_shape(rows),
            tooltip=["net:N", "weights:Q", alt.Tooltip("clean:Q", format=".2%"), alt.Tooltip("robust:Q", format=".2%")],
        )
        .properties(width=WIDTH, height=HEIGHT)
    )
    return Figure("trade-off", "Clean against robust accuracy", "Larger marks are larger nets.", chart=chart)


FIGURES = (by_ratio, trade_off)
