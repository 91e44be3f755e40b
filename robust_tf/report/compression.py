"""Accuracy against what is left of a net (Gui et al., figures 1, 2, 4, 5, 6; thesis, B.1)."""

import altair as alt

from robust_tf.report.figures import COLOURS, HEIGHT, WIDTH, Figure, Missing
from robust_tf.report.overview import strictest
from robust_tf.report.papers import printed


def points(runs):
    """A row for each accuracy of each run, and for what the papers print of the same data set and net."""
    rows = []
    for run in runs:
        record = strictest(run)
        if not record or not run.summary:
            continue
        common = {
            "net": run.name,
            "method": run.summary["method"],
            "kept": run.summary["ratio"],
            "weights": run.summary["kernels_nonzero"],
            "whose": "ours",
        }
        attack = f"worst over {', '.join(record['attacks'])}, eps {record['eps']:.3g}"
        rows.append({**common, "accuracy": record["clean_accuracy"], "under": "clean"})
        rows.append({**common, "accuracy": record["robust_accuracy"], "under": "attack", "attack": attack})
    nets = {(run.config.get("dataset"), run.config.get("model")) for run in runs}
    for row in printed("atmc_tables_7_to_10"):
        if (row["dataset"], row["model"]) in nets:
            common = {
                "net": f"{row['method']}, printed",
                "method": row["method"],
                "kept": row["ratio"],
                "weights": row["nonzero"],
                "whose": "theirs (Gui et al., tables 7 to 10)",
            }
            rows.append({**common, "accuracy": row["clean"], "under": "clean"})
            rows.append({**common, "accuracy": row["ifgsm"], "under": "attack", "attack": "IFGSM, eps 0.06"})
    return rows


def by_ratio(runs):
    rows = points(runs)
    if len({row["kept"] for row in rows}) < 2:
        return Missing("Accuracy against weights kept", "it takes two evaluated runs of different size")
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "kept:Q", title="fraction of the kernel weights", scale=alt.Scale(type="log"), axis=alt.Axis(format="%")
        ),
        y=alt.Y("accuracy:Q", title="accuracy on test images", axis=alt.Axis(format="%")),
        color=alt.Color("method:N", title="method", scale=alt.Scale(range=COLOURS)),
        detail="whose:N",
        tooltip=["net:N", "weights:Q", alt.Tooltip("accuracy:Q", format=".2%"), "under:N", "attack:N", "whose:N"],
    )
    shape = alt.Shape("whose:N", title=None)
    layers = base.mark_line(strokeWidth=1) + base.mark_point(size=80, filled=True).encode(shape=shape)
    chart = layers.properties(width=WIDTH, height=HEIGHT).facet(row=alt.Row("under:N", title=None))
    caption = "Under attack: the worst over the attacks of each run's strictest evaluation."
    return Figure("accuracy-by-ratio", "Accuracy against weights kept", caption, chart=chart)


def trade_off(runs):
    by_net = {}
    for row in points(runs):
        name = "clean" if row["under"] == "clean" else "robust"
        by_net.setdefault((row["net"], row["kept"], row["whose"]), dict(row))[name] = row["accuracy"]
    rows = list(by_net.values())
    if len(rows) < 2:
        return Missing("Clean against robust accuracy", "it takes two evaluated runs")
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_point(filled=True, opacity=0.8)
        .encode(
            x=alt.X("clean:Q", title="clean accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
            y=alt.Y("robust:Q", title="robust accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
            size=alt.Size("weights:Q", title="weights", scale=alt.Scale(type="log", range=[40, 700])),
            color=alt.Color("method:N", title="method", scale=alt.Scale(range=COLOURS)),
            shape=alt.Shape("whose:N", title=None),
            tooltip=["net:N", "weights:Q", alt.Tooltip("clean:Q", format=".2%"), alt.Tooltip("robust:Q", format=".2%")],
        )
        .properties(width=WIDTH, height=HEIGHT)
    )
    return Figure("trade-off", "Clean against robust accuracy", "Larger marks are larger nets.", chart=chart)


FIGURES = (by_ratio, trade_off)
