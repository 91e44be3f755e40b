"""Images and what attacks make of them (thesis, 3.1, A.2; Gui et al., figures 3, 12 to 15)."""

import numpy as np
import tensorflow as tf

from robust_tf.attacks.pgd import pgd
from robust_tf.evaluation.accuracy import inference
from robust_tf.models.load import load_net
from robust_tf.refusal import Refusal
from robust_tf.report.figures import Figure, Missing

SHOWN, STEPS, PATH = 8, 20, 24  # images of a panel; gradient steps; radii tried for the smallest that fools


def pictures(runs):
    return [figure for run in runs for figure in panels(run)]


def sample(run, count):
    """(net, x [N, H, W, C], y [N]) of the run's first sample images; raises FileNotFoundError without them or a net."""
    try:
        with np.load(run.path / "export" / "sample.npz") as content:
            x, y = tf.constant(content["images"][:count]), tf.constant(content["labels"][:count])
        return load_net(run.path / "model.keras", run.config.get("model", "")), x, y
    except (OSError, KeyError, ValueError, Refusal) as error:
        raise FileNotFoundError(run.path) from error


def panels(run):
    title = f"{run.name}: perturbed images"
    try:
        net, x, y = sample(run, SHOWN)
    except FileNotFoundError:
        return [Missing(title, "it takes model.keras and export/sample.npz, which bin/export_tflite writes")]
    eps, norm = run.config["eps"], run.config["norm"]
    logits_fn, names = inference(net), run.summary.get("class_names") or [str(i) for i in range(net.output_shape[-1])]
    attack = tf.function(lambda eps: pgd(logits_fn, x, y, eps=eps, norm=norm, steps=STEPS, seed=(0, 0)))
    rows = [("no attack", strip(logits_fn, x, y, names))]
    for factor in (0.5, 1.0, 1.5, 2.0):
        rows.append((f"eps {factor * eps:.3g}", strip(logits_fn, attack(tf.constant(factor * eps)), y, names)))
    growing = Figure(
        f"perturbed-{run.name.replace('/', '-')}",
        title,
        f"PGD with {STEPS} steps, {norm}, on the first sample images; below each what the net calls it, in another"
        " colour and capitals where that is wrong.",
        pictures=rows,
    )
    smallest, radii = fooling(logits_fn, attack, x, y, 3 * eps)
    fooled = Figure(
        f"smallest-{run.name.replace('/', '-')}",
        f"{run.name}: the smallest perturbations that fool",
        f"Of {PATH} radii up to {3 * eps:.3g}, the first at which PGD fools the net: "
        + ", ".join("none" if np.isnan(r) else f"{r:.3g}" for r in radii),
        pictures=[("images", strip(logits_fn, x, y, names)), ("fooling", strip(logits_fn, smallest, y, names))],
    )
    return [growing, fooled]


def fooling(logits_fn, attack, x, y, most):
    """(images, radii): at the first of growing radii that fools the net; x and NaN where none does."""
    found, radii = x.numpy().copy(), np.full(len(x), np.nan)
    for eps in np.linspace(0, most, PATH + 1)[1:]:
        x_adv = attack(tf.constant(eps, tf.float32)).numpy()
        fooled = (np.argmax(logits_fn(x_adv), -1) != y.numpy()) & np.isnan(radii)
        found[fooled], radii[fooled] = x_adv[fooled], eps
    return tf.constant(found), radii


def strip(logits_fn, x, y, names):
    """[(PNG bytes, what the net says, whether it is right)] of images [N, H, W, C]."""
    said = np.argmax(logits_fn(x), -1)
    pixels = tf.cast(tf.round(x * 255), tf.uint8)
    return [
        (tf.io.encode_png(image).numpy(), names[label], label == true)
        for image, label, true in zip(pixels, said, y.numpy())
    ]


FIGURES = (pictures,)
