"""minimal: the least radius at which PGD fools the net, for each image (Gui et al., figures 3 and 12 to 15)."""

import functools
import time

import numpy as np
import tensorflow as tf
from rich.table import Table

from robust_tf.attacks.pgd import pgd
from robust_tf.evaluation.accuracy import batches
from robust_tf.evaluation.modes import Mode
from robust_tf.rundir import write_arrays
from robust_tf.terminal import progress_bar


def measure(subject, asked, config, path):
    began = time.perf_counter()
    attack = attacker(subject.logits_fn, asked["norm"], asked["steps"], asked["restarts"], config.seed)
    found = []
    with progress_bar() as progress:
        rounds = len(asked["radii"]) + asked["bisections"]
        task = progress.add_task("attacking", total=len(subject.images) * rounds, unit="images")
        for start, x, y in batches(subject.images, subject.labels, config.batch_size):
            found.append(
                least_radii(
                    attack, tf.argmax(subject.logits_fn(x), -1), x, y, asked["radii"], asked["bisections"], start,
                    functools.partial(progress.advance, task, len(x)),
                )
            )  # fmt: skip
    least, x_adv, predicted = (np.concatenate(parts) for parts in zip(*found))
    images = path.with_suffix(".npz")
    write_arrays(images, eps=least, x_adv=x_adv, predicted=predicted, labels=subject.labels)
    fooled = np.isfinite(least)
    return {
        "clean_accuracy": float(np.mean(least > 0)),
        "fooled": float(fooled.mean()),
        "least_radii": [round(float(value), 6) if ok else None for value, ok in zip(least, fooled)],
        "quantiles": {f"{q:.0%}": quantile(least, q) for q in (0.1, 0.25, 0.5, 0.75, 0.9)},
        "images": images.name,
        "seconds": round(time.perf_counter() - began, 2),
    }


def attacker(logits_fn, norm, steps, restarts, seed):
    """attack(x, y, eps [B], number) -> x_adv, its classes [B], which are misclassified [B]; each image its own eps."""

    image, label, reals = (
        tf.TensorSpec((None,) * n, kind) for n, kind in ((4, tf.float32), (1, tf.int32), (1, tf.float32))
    )

    @tf.function(input_signature=(image, label, reals, tf.TensorSpec((2,), tf.int32)))
    def once(x, y, eps, numbers):
        x_adv = pgd(logits_fn, x, y, eps=eps[:, None, None, None], steps=steps, norm=norm, seed=numbers)
        return x_adv, tf.argmax(logits_fn(x_adv), -1, tf.int32)

    def attack(x, y, eps, number):
        best, classes = x, y
        for restart in range(restarts):
            x_adv, seen = once(x, y, tf.constant(eps, tf.float32), tf.constant([seed, number * restarts + restart]))
            first = (seen != y) & (classes == y)
            best = tf.where(first[:, None, None, None], x_adv, best)
            classes = tf.where(first, seen, classes)
        return best.numpy(), classes.numpy(), (classes != y).numpy()

    return attack


def least_radii(attack, classes, x, y, radii, bisections, number, progress=lambda: None):
    """The least radius found for each image, by a grid and then by bisection below the first that succeeded.

    Args:
      attack: as of `attacker`.
      classes: of the images as they are, [B].
      x, y: images [B, H, W, C] and labels [B].
      radii: the grid, growing; an image is attacked until it is fooled.
      bisections: halvings of the interval between the last radius that failed and the first that succeeded.
      number: of the first image, for the random starts.

    Returns:
      eps: [B], 0 where the image is misclassified as it is, inf where no radius succeeded; x_adv [B, H, W, C] at that
      radius, x itself for those two; its classes [B].
    """
    y = tf.cast(y, tf.int32)
    best, classes = np.array(x), np.array(classes)
    low, high = np.zeros(len(x)), np.where(classes != y, 0.0, np.inf)

    def narrow(chosen, eps, number):
        """Attacks the images `chosen`, indices, at eps [len(chosen)]."""
        if len(chosen):
            x_adv, seen, broken = attack(tf.gather(x, chosen), tf.gather(y, chosen), eps, number)
            hit = chosen[broken]
            best[hit], classes[hit], high[hit] = x_adv[broken], seen[broken], eps[broken]
            low[chosen[~broken]] = eps[~broken]
        progress()

    for i, eps in enumerate(radii):
        standing = np.flatnonzero(np.isinf(high))
        narrow(standing, np.full(len(standing), eps), number + i)
    fooled = np.flatnonzero(np.isfinite(high) & (high > 0))
    for i in range(bisections):
        narrow(fooled, (low[fooled] + high[fooled]) / 2, number + len(radii) + i)
    return high, best, classes


def quantile(least, q):
    """The radius within which a fraction q of the images are fooled; None where that is beyond the grid."""
    value = np.sort(least)[max(int(np.ceil(q * len(least))) - 1, 0)]
    return float(value) if np.isfinite(value) else None


def show(record, console):
    table = Table(
        "of the images", "are fooled within",
        title=f"{record['num_images']:,} test images, {record['norm']}, PGD-{record['steps']}",
        caption=f"restarts {record['restarts']}, bisections {record['bisections']}, seed {record['seed']},"
        f" {record['seconds']:.0f} s",
    )  # fmt: skip
    for quantile, eps in record["quantiles"].items():
        table.add_row(quantile, f"more than {record['radii'][-1]:g}" if eps is None else f"{eps:.4f}")
    console.print(table)
    console.print(f"The images, with their radii and classes: {record['images']}")


MODE = Mode(measure, show, certifies=True)
