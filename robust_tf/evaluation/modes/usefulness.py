"""usefulness: usefulness of the features of the last hidden layer, without and under attack (thesis, appendix A).

After Ilyas et al. (arXiv 1905.02175), a feature f, scaled to mean 0 and standard deviation 1 on clean images, is

    rho-useful              E[t f(x)] >= rho
    gamma-robustly useful   E[t f(x_adv)] >= gamma

where t is 1 for one class and 0 for the others, scaled in the same way. Each feature gets the class with the largest
|E[t f(x)]|, and the sign for which usefulness is positive. The attack is PGD on the net, not the worst one for each
feature, so that robust_usefulness is an upper bound.
"""

import time

import altair as alt
import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.attacks.pgd import pgd
from robust_tf.attacks.seeds import of_images
from robust_tf.data.pixels import pixels
from robust_tf.drawing.figures import COLOURS, HEIGHT, WIDTH, Figure, Missing
from robust_tf.evaluation.accuracy import correct
from robust_tf.refusal import Refusal


def measure(subject, config, record_path):
    began, x, y = time.perf_counter(), pixels(subject.images), subject.labels
    if len(np.unique(y)) < 2:
        raise Refusal(f"--num_images: expected images of at least two classes; got {len(y)} of one class")
    features = keras.Model(subject.net.inputs, subject.net.layers[-1].input)
    attack = tf.function(
        lambda: pgd(
            subject.logits_fn,
            x,
            y,
            eps=config.eps,
            norm=config.norm,
            steps=config.steps,
            seed=of_images(config.seed, range(len(x))),
        )
    )
    useful, robust = correlations(features(x).numpy(), features(attack()).numpy(), np.asarray(y))
    return subject.record(
        config,
        clean_accuracy=float(correct(subject.logits_fn, x, y).mean()),
        usefulness=tuple(map(float, useful)),
        robust_usefulness=tuple(map(float, robust)),
        seconds=round(time.perf_counter() - began, 2),
    )


def correlations(f, f_adv, y):
    """(usefulness, robust_usefulness) [features] of features [N, D] on clean and attacked images, labels y [N]."""
    mean, deviation = f.mean(0), f.std(0)
    alive = deviation > 1e-6
    f, f_adv = ((each[:, alive] - mean[alive]) / deviation[alive] for each in (f, f_adv))
    t = np.stack([y == label for label in np.unique(y)], 1).astype(float)  # [N, K]
    t = (t - t.mean(0)) / t.std(0)
    clean, attacked = t.T @ f / len(y), t.T @ f_adv / len(y)  # [K, D]
    best = np.abs(clean).argmax(0), np.arange(clean.shape[1])
    return np.abs(clean[best]), np.sign(clean[best]) * attacked[best]


def show(record, console):
    counts = [int(np.sum(np.array(record.robust_usefulness) > least)) for least in (0, 0.1)]
    console.print(
        f"{len(record.usefulness)} features on {record.num_images} test images: mean usefulness"
        f" {np.mean(record.usefulness):.3f}, under PGD-{record.steps} at {record.norm} eps {record.eps:g}"
        f" {np.mean(record.robust_usefulness):.3f}; above 0 under attack: {counts[0]}, above 0.1: {counts[1]}"
    )


def histogram(runs):
    rows = [
        {"run": label, "images": what, "usefulness": value}
        for run in runs
        for label, record in run.labelled("usefulness")
        for what, values in (("clean", record.usefulness), ("under attack", record.robust_usefulness))
        for value in values
    ]
    if not rows:
        return Missing("Usefulness of features", "bin/evaluate --mode=usefulness writes it")
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(opacity=0.6)
        .encode(
            x=alt.X(
                "usefulness:Q",
                bin=alt.Bin(maxbins=40),
                title="correlation with the class that the feature predicts best",
            ),
            y=alt.Y("count()", title="features", stack=None),
            color=alt.Color("images:N", title=None, scale=alt.Scale(range=COLOURS)),
            tooltip=["images:N", "count()"],
        )
        .properties(width=WIDTH, height=HEIGHT / 2)
        .facet(row=alt.Row("run:N", title=None))
    )
    caption = (
        "For the inputs of the last layer that vary, clean and under PGD at the evaluation's eps. Below 0 a feature"
        " predicts the wrong class."
    )
    return Figure("usefulness", "Usefulness of features", caption, chart=chart)


FIGURES = (histogram,)
