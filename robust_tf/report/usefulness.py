"""How useful the features of the last hidden layer are, and how useful they stay under attack (thesis, appendix A).

After Ilyas et al. (arXiv 1905.02175), a feature f, scaled to mean 0 and deviation 1 on clean images, is

    rho-useful              E[t f(x)] >= rho
    gamma-robustly useful   E[t f(x_adv)] >= gamma

for a class against the rest, t scaled alike. Of each feature the class with the largest |E[t f(x)]| counts, its sign
turned so that usefulness is positive; the attack is PGD on the net, not the worst for each feature, so that
robust_usefulness is an upper bound.
"""

import altair as alt
import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.attacks.pgd import pgd
from robust_tf.evaluation.accuracy import inference
from robust_tf.report.figures import COLOURS, HEIGHT, WIDTH, Figure, Missing
from robust_tf.report.pictures import sample

IMAGES, STEPS = 100, 20


def usefulness(runs):
    rows = []
    for run in runs:
        try:
            net, x, y = sample(run, IMAGES)
        except FileNotFoundError:
            continue
        for what, values in zip(("clean", "under attack"), measured(net, x, y, run.config["eps"], run.config["norm"])):
            rows += [{"run": run.name, "images": what, "usefulness": float(value)} for value in values]
    if not rows:
        return Missing("Usefulness of features", "it takes model.keras and export/sample.npz of bin/export_tflite")
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(opacity=0.6)
        .encode(
            x=alt.X("usefulness:Q", bin=alt.Bin(maxbins=40), title="correlation with the class it tells best"),
            y=alt.Y("count()", title="features", stack=None),
            color=alt.Color("images:N", title=None, scale=alt.Scale(range=COLOURS)),
            tooltip=["images:N", "count()"],
        )
        .properties(width=WIDTH, height=HEIGHT / 2)
        .facet(row=alt.Row("run:N", title=None))
    )
    caption = (
        f"Of the inputs of the last layer that vary, on {IMAGES} sample images: clean, and under PGD with {STEPS} steps"
        " at the run's eps. Below 0 a feature tells the wrong class."
    )
    return Figure("usefulness", "Usefulness of features", caption, chart=chart)


def measured(net, x, y, eps, norm):
    """`correlations` of the inputs of the net's last layer."""
    logits_fn, features = inference(net), keras.Model(net.inputs, net.layers[-1].input)
    x_adv = tf.function(lambda: pgd(logits_fn, x, y, eps=eps, norm=norm, steps=STEPS, seed=(0, 0)))()
    return correlations(features(x).numpy(), features(x_adv).numpy(), y.numpy())


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


FIGURES = (usefulness,)
