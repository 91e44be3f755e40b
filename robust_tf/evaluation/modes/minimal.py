"""minimal: the least radius at which PGD fools the net, for each image (Gui et al., figures 3 and 12 to 15)."""

import functools
import time

import altair as alt
import numpy as np
import tensorflow as tf
from rich.table import Table

from robust_tf.attacks.pgd import pgd
from robust_tf.attacks.seeds import of_images
from robust_tf.data.pixels import in_batches
from robust_tf.drawing.figures import BELOW, COLOURS, HEIGHT, WIDTH, Figure, Missing
from robust_tf.evaluation.sparing import spared_at
from robust_tf.files import write_arrays
from robust_tf.terminal import number_of, progress_bar


def measure(subject, config, record_path):
    began = time.perf_counter()
    attack = attacker(subject.logits_fn, config.norm, config.steps, config.restarts, config.seed)
    found, left = [], [spared_at(eps, subject.net, subject, config) for eps in config.radii]
    with progress_bar() as progress:
        rounds = len(config.radii) + config.bisections
        task = progress.add_task("attacking", total=len(subject.images) * rounds, unit="images")
        for start, x, y in in_batches(subject.images, subject.labels, config.batch_size):
            found.append(
                least_radii(
                    attack, tf.argmax(subject.logits_fn(x), -1), x, y, config.radii, config.bisections,
                    range(start, start + len(x)), left, functools.partial(progress.advance, task, len(x)),
                )
            )  # fmt: skip
    least, x_adv, predicted = (np.concatenate(parts) for parts in zip(*found))
    images = record_path.with_suffix(".npz")
    write_arrays(images, eps=least, x_adv=x_adv, predicted=predicted, labels=subject.labels)
    fooled = np.isfinite(least)
    return subject.record(
        config,
        clean_accuracy=float(np.mean(least > 0)),
        fooled=float(fooled.mean()),
        least_radii=tuple(round(float(value), 6) if ok else None for value, ok in zip(least, fooled)),
        quantiles={f"{q:.0%}": quantile(least, q) for q in (0.1, 0.25, 0.5, 0.75, 0.9)},
        images=images.name,
        not_attacked=None if left[0] is None else tuple(each.count for each in left),
        seconds=round(time.perf_counter() - began, 2),
    )


def attacker(logits_fn, norm, steps, restarts, seed):
    """attack(x, y, eps [B], round, numbers [B]) -> (x_adv, its classes [B], which are misclassified [B]).

    One eps per image; numbers: of the images in the test set.
    """

    image, label, reals = (
        tf.TensorSpec((None,) * n, kind) for n, kind in ((4, tf.float32), (1, tf.int32), (1, tf.float32))
    )

    @tf.function(input_signature=(image, label, reals, tf.TensorSpec((None, 2), tf.int32)))
    def once(x, y, eps, seeds):
        x_adv = pgd(logits_fn, x, y, eps=eps[:, None, None, None], steps=steps, norm=norm, seed=seeds)
        return x_adv, tf.argmax(logits_fn(x_adv), -1, tf.int32)

    def attack(x, y, eps, round, numbers):
        best, classes = x, y
        for restart in range(restarts):
            seeds = tf.constant(of_images((seed, round, restart), numbers))
            x_adv, predicted = once(x, y, tf.constant(eps, tf.float32), seeds)
            newly_fooled = (predicted != y) & (classes == y)
            best = tf.where(newly_fooled[:, None, None, None], x_adv, best)
            classes = tf.where(newly_fooled, predicted, classes)
        return best.numpy(), classes.numpy(), (classes != y).numpy()

    return attack


def least_radii(attack, classes, x, y, radii, bisections, numbers, left, progress=lambda: None):
    """The least radius that fools the net, for each image, by a grid search followed by bisection.

    Args:
      attack: as `attacker` returns it.
      classes: predicted for the images without attack, [B].
      x, y: images [B, H, W, C] and labels [B].
      radii: the grid, growing; each image is attacked until the net is fooled.
      bisections: halvings of the interval between the last radius that failed and the first that fooled the net.
      numbers: of the images in the test set, for the random starts.
      left: for each of the radii None or the `sparing.Spared` of the test set: its images fail there without attack.

    Returns:
      (eps [B], x_adv [B, H, W, C] at that radius, its classes [B]). eps is 0 where the image is misclassified without
      attack and inf where no radius fooled the net; x_adv is then x itself.
    """
    y = tf.cast(y, tf.int32)
    best, classes, numbers = np.array(x), np.array(classes), np.asarray(numbers)
    low, high = np.zeros(len(x)), np.where(classes != y, 0.0, np.inf)

    def narrow(chosen, eps, round):
        """Attacks the images with the indices `chosen` at radii eps [len(chosen)]."""
        if len(chosen):
            x_adv, predicted, broken = attack(tf.gather(x, chosen), tf.gather(y, chosen), eps, round, numbers[chosen])
            hit = chosen[broken]
            best[hit], classes[hit], high[hit] = x_adv[broken], predicted[broken], eps[broken]
            low[chosen[~broken]] = eps[~broken]
        progress()

    for i, (eps, spared) in enumerate(zip(radii, left)):
        unbroken = np.isinf(high)
        if spared is not None:
            skipped = unbroken & spared.left_out[numbers]
            low[skipped] = eps
            unbroken &= ~skipped
        chosen = np.flatnonzero(unbroken)
        narrow(chosen, np.full(len(chosen), eps), i)
        if spared is not None:
            spared.check("pgd", numbers[chosen], np.isinf(high[chosen]))
    fooled = np.flatnonzero(np.isfinite(high) & (high > 0))
    for i in range(bisections):
        narrow(fooled, (low[fooled] + high[fooled]) / 2, len(radii) + i)
    return high, best, classes


def quantile(least, q):
    """The radius within which a fraction q of the images are fooled; None where that is above all radii."""
    value = np.sort(least)[max(int(np.ceil(q * len(least))) - 1, 0)]
    return float(value) if np.isfinite(value) else None


def show(record, console):
    table = Table(
        "fraction of the images", "fooled within",
        title=f"{number_of(record.num_images, 'test image')}, {record.norm}, PGD-{record.steps}",
        caption=f"restarts {record.restarts}, bisections {record.bisections}, seed {record.seed},"
        f" {record.seconds:.0f} s",
    )  # fmt: skip
    for quantile, eps in record.quantiles.items():
        table.add_row(quantile, f"more than {record.radii[-1]:g}" if eps is None else f"{eps:.4f}")
    console.print(table)
    if any(record.not_attacked or ()):
        counts = ", ".join(map(str, record.not_attacked))
        console.print(
            f"certified images that were not attacked at these radii: {counts} (--noskip_certified attacks all)"
        )
    console.print(f"Adversarial images, with their radii and classes: {record.images}")


def radii_that_fool(runs):
    key, title = "minimal", "The smallest radius that fools the net"
    records = [labelled for run in runs for labelled in run.labelled("minimal")]
    rows = [
        {"run": label, "radius": radius}
        for label, record in records
        for radius in record.least_radii
        if radius is not None
    ]
    if not records:
        return Missing(title, "bin/evaluate --mode=minimal writes it")
    robust = [f"{label}: {record.least_radii.count(None)} of {record.num_images:,}" for label, record in records]
    left_out = f"Without the images that no radius fools ({'; '.join(robust)})."
    if not rows:
        return Figure(key, title, left_out)
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(opacity=0.7)
        .encode(
            x=alt.X("radius:Q", bin=alt.Bin(maxbins=30), title="eps, in pixels of [0, 1]"),
            y=alt.Y("count()", title="images", stack=None),
            color=alt.Color("run:N", title=None, scale=alt.Scale(range=COLOURS), sort=None, legend=BELOW),
            tooltip=["run:N", "count()"],
        )
        .properties(width=WIDTH, height=HEIGHT)
    )
    caption = f"Numbers of test images; at eps 0 those that are misclassified without attack. {left_out}"
    return Figure(key, title, caption, chart=chart)


FIGURES = (radii_that_fool,)
