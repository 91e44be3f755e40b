"""The weights: histograms, kept fraction and rank of each layer (thesis, 4.1, 4.2), and ATMC's factors.

Gui et al., figures 8 to 11: ranks of ATMC's factors.
"""

import altair as alt
import numpy as np

from robust_tf.drawing.figures import BELOW, COLOURS, HEIGHT, WIDTH, Figure, Missing, bars
from robust_tf.drawing.papers import printed
from robust_tf.models.kernels import kernels
from robust_tf.models.load import load_net
from robust_tf.refusal import Refusal

BINS = 80


def histogram(runs):
    """Histograms of the non-zero weights, over the same range for all runs."""
    values, unread = {}, []
    for run in runs:
        try:
            net = load_net(run.path / "model.keras", run.config.model if run.config else "")
        except Refusal:
            unread.append(run.name)
            continue
        every = np.concatenate([np.ravel(w) for w in kernels(net)])
        values[run.name] = every[every != 0]
    if not values:
        return Missing("Non-zero weights", "no run has a model.keras that can be read")
    limit = max(float(np.quantile(np.abs(w), 0.999)) if len(w) else 0.0 for w in values.values()) or 1.0
    rows = []
    for name, w in values.items():
        counts, edges = np.histogram(np.clip(w, -limit, limit), BINS, (-limit, limit))
        middles = (edges[1:] + edges[:-1]) / 2
        rows += [{"run": name, "weight": float(x), "count": int(n)} for x, n in zip(middles, counts) if n]
    if not rows:
        return Figure("weights", "Non-zero weights", "All weights are zero.")
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(interpolate="step")
        .encode(
            x=alt.X("weight:Q", title="weight"),
            y=alt.Y("count:Q", title="weights", scale=alt.Scale(type="log")),
            color=alt.Color("run:N", title=None, scale=alt.Scale(range=COLOURS), sort=None, legend=BELOW),
            tooltip=["run:N", "weight:Q", "count:Q"],
        )
        .properties(width=WIDTH, height=HEIGHT)
    )
    without = f" Without {', '.join(unread)}: no model.keras that can be read." if unread else ""
    caption = f"The axis of counts is logarithmic; the first and the last bin hold all weights beyond them.{without}"
    return Figure("weights", "Non-zero weights", caption, chart=chart)


def layers(run):
    return run.summary.layers if run.summary else ()


def kept(runs):
    rows = [
        {
            "run": run.name,
            "layer": layer.layer,
            "kept": layer.kept,
            "weights": layer.nonzero,
        }
        for run in runs
        for layer in layers(run)
    ]
    if not rows:
        return Missing("Weights kept by layer", "no run has a summary.json")
    chart = bars(rows, ("layer", None), ("kept", "fraction of the layer's weights"), "run", "%", ("weights:Q",))
    return Figure("kept-by-layer", "Weights kept by layer", chart=chart)


def ranks(runs):
    rows = [{"run": run.name, "layer": layer.layer, "rank": layer.rank} for run in runs for layer in layers(run)]
    if not rows:
        return Missing("Matrix ranks by layer", "no run has a summary.json")
    chart = bars(rows, ("layer", None), ("rank", "rank"), "run")
    caption = "Ranks of the weights that ship: of each layer's weights as a matrix [inputs, outputs]."
    return Figure("ranks", "Matrix ranks by layer", caption, chart=chart)


def factors(runs):
    """The factors of ATMC's runs; nothing without such runs."""
    factorised = [(run, layer) for run in runs if run.summary and run.summary.factors for layer in factors_of(run)]
    return [factor_weights(factorised), factor_ranks(factorised)] if factorised else []


def factors_of(run):
    return run.summary.factors.layers


def factor_weights(factorised):
    names = {"U": "U'", "V": "V", "C": "C", "W": "W, not factorised"}
    rows = factor_rows(factorised, names, "weights")
    chart = bars(rows, ("layer", None), ("weights", "non-zero weights"), "factor")
    caption = "W = (I + U')V + C. The budget of ATMC counts the non-zero weights of U', V and C."
    return Figure("factors", "Non-zero weights of ATMC's factors", caption, chart=chart)


def factor_ranks(factorised):
    names = {"rank_U": "U', non-zero columns", "rank_V": "V, non-zero rows", "full_rank": "largest possible r"}
    rows = factor_rows(factorised, names, "rank")
    chart = bars(rows, ("layer", None), ("rank", "r"), "factor")
    caption = "The r of Gui et al., figures 8 to 11: the number of non-zero columns of U' and of non-zero rows of V."
    trained = {(run.config.dataset, run.config.model) for run, _ in factorised if run.config}
    theirs = [net for net in printed("atmc_table_11") if (net["dataset"], net["model"]) in trained]
    caption += "".join(f" Their {net['model']} for {net['dataset']} has {net['nonzero']:,} weights." for net in theirs)
    return Figure("factor-ranks", "Ranks of ATMC's factors", caption, chart=chart)


def factor_rows(factorised, names, what):
    """A row for each field of `names` that a FactorisedLayer has; names: {field: words}, what: name of its number."""
    return [
        {"layer": layer.layer, "factor": f"{run.name}: {words}", what: getattr(layer, field)}
        for run, layer in factorised
        for field, words in names.items()
        if getattr(layer, field) is not None
    ]


FIGURES = (histogram, kept, ranks, factors)
