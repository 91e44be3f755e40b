"""Where the weights are: histograms, what each layer keeps, ranks (thesis, 4.1, 4.2; Gui et al., figures 8 to 11)."""

import altair as alt
import numpy as np

from robust_tf.models.kernels import kernels
from robust_tf.models.load import load_net
from robust_tf.refusal import Refusal
from robust_tf.report.figures import COLOURS, HEIGHT, WIDTH, Figure, Missing, bars

BINS = 80


def histogram(runs):
    """Counts of the weights that are not zero, by value; of all runs over the same range."""
    values = {}
    for run in runs:
        try:
            net = load_net(run.path / "model.keras", run.config.get("model", ""))
        except Refusal:
            continue
        every = np.concatenate([np.ravel(w) for w in kernels(net)])
        values[run.name] = every[every != 0]
    if not values:
        return Missing("Weights", "no run has a model.keras that can be read")
    limit = max(float(np.quantile(np.abs(w), 0.999)) if len(w) else 0.0 for w in values.values()) or 1.0
    rows = []
    for name, w in values.items():
        counts, edges = np.histogram(np.clip(w, -limit, limit), BINS, (-limit, limit))
        middles = (edges[1:] + edges[:-1]) / 2
        rows += [{"run": name, "weight": float(x), "count": int(n)} for x, n in zip(middles, counts) if n]
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(interpolate="step")
        .encode(
            x=alt.X("weight:Q", title="weight"),
            y=alt.Y("count:Q", title="weights", scale=alt.Scale(type="log")),
            color=alt.Color("run:N", title=None, scale=alt.Scale(range=COLOURS), sort=None),
            tooltip=["run:N", "weight:Q", "count:Q"],
        )
        .properties(width=WIDTH, height=HEIGHT)
    )
    return Figure(
        "weights",
        "Weights that are not zero",
        "A logarithmic count; the outermost bins hold all beyond them.",
        chart=chart,
    )


def kept(runs):
    rows = [
        {
            "run": run.name,
            "layer": layer["layer"],
            "kept": layer["nonzero"] / layer["kernels"],
            "weights": layer["nonzero"],
        }
        for run in runs
        for layer in run.summary.get("layers", [])
    ]
    if not rows:
        return Missing("Weights kept by layer", "no run has a summary.json")
    chart = bars(rows, ("layer", None), ("kept", "fraction of the layer's weights"), "run", "%", ("weights:Q",))
    return Figure("kept-by-layer", "Weights kept by layer", chart=chart)


def ranks(runs):
    rows = [
        {"run": run.name, "layer": layer["layer"], "rank": layer["rank"]}
        for run in runs
        for layer in run.summary.get("layers", [])
        if layer.get("rank") is not None
    ]
    if not rows:
        return Missing("Ranks by layer", "no run has a summary.json with ranks")
    chart = bars(rows, ("layer", None), ("rank", "rank of the layer's matrix [inputs, outputs]"), "run")
    return Figure("ranks", "Ranks by layer", "Gui et al., figures 8 to 11.", chart=chart)


FIGURES = (histogram, kept, ranks)
