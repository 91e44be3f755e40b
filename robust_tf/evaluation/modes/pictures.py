"""pictures: perturbed test images and saliency maps (thesis, 2.1.1, 3.1, A.2; Gui et al., figures 3, 12 to 15).

Three panels: PGD at growing radii; for each image PGD at the smallest of a grid of radii that fools the net; saliency
maps of the unperturbed images (`evaluation.saliency`).
"""

import time
import zipfile

import numpy as np
import tensorflow as tf

from robust_tf.attacks.pgd import pgd
from robust_tf.attacks.seeds import of_images
from robust_tf.data.pixels import pixels
from robust_tf.drawing.figures import Figure, Missing, as_key, png
from robust_tf.evaluation.saliency import grad_cam, gradients, scaled
from robust_tf.files import write_arrays
from robust_tf.records.evaluation import Row
from robust_tf.terminal import progress_bar

FACTORS = (0.5, 1.0, 1.5, 2.0)  # growing radii, as multiples of eps
RADII, FARTHEST = 24, 3  # size of the grid, and its largest radius as a multiple of eps


def measure(subject, config, record_path):
    began, x, y = time.perf_counter(), pixels(subject.images), subject.labels
    logits_fn = subject.logits_fn
    attack = tf.function(
        lambda eps: pgd(
            logits_fn, x, y, eps=eps, norm=config.norm, steps=config.steps, seed=of_images(config.seed, range(len(x)))
        )
    )
    rows, shown = [], []

    def add(title, images, classified=True):
        rows.append(Row(title=title, classes=classes(logits_fn, images) if classified else None))
        shown.append(np.rint(255 * np.broadcast_to(images, x.shape)).astype(np.uint8))
        return len(rows) - 1

    plain = add("no attack", x)
    with progress_bar() as progress:
        task = progress.add_task("attacking", total=len(x) * (len(FACTORS) + RADII), unit="images")
        attacked = [plain]
        for factor in FACTORS:
            attacked.append(add(f"eps {factor * config.eps:.3g}", attack(tf.constant(factor * config.eps)).numpy()))
            progress.advance(task, len(x))
        smallest, radii = fooling(
            logits_fn, attack, x, y, FARTHEST * config.eps, lambda: progress.advance(task, len(x))
        )
    fooled = [plain, add("fooling", smallest)]
    found = {"gradient": gradients(subject.net, x, y), "Grad-CAM": grad_cam(subject.net, x, y)}
    maps = [add(name, scaled(each), classified=False) for name, each in found.items() if each is not None]
    images = record_path.with_suffix(".npz")
    write_arrays(images, images=np.stack(shown))
    return subject.record(
        config,
        clean_accuracy=float(np.mean(np.array(rows[plain].classes) == y)),
        labels=tuple(map(int, y)),
        class_names=tuple(subject.dataset.class_names),
        least_radii=tuple(None if np.isnan(r) else float(r) for r in radii),
        rows=tuple(rows),
        attacked=tuple(attacked),
        fooling=tuple(fooled),
        maps=tuple(maps),
        images=images.name,
        seconds=round(time.perf_counter() - began, 2),
    )


def classes(logits_fn, x):
    return tuple(map(int, np.argmax(logits_fn(x), -1)))


def fooling(logits_fn, attack, x, y, largest, progress=lambda: None):
    """(images, radii) at the first of growing radii up to `largest` that fools the net; x and NaN where none does."""
    found, radii = np.array(x), np.full(len(x), np.nan)
    for eps in np.linspace(0, largest, RADII + 1)[1:]:
        x_adv = attack(tf.constant(eps, tf.float32)).numpy()
        fooled = (np.argmax(logits_fn(x_adv), -1) != y) & np.isnan(radii)
        found[fooled], radii[fooled] = x_adv[fooled], eps
        progress()
    return found, radii


def show(record, console):
    radii = ", ".join("none" if radius is None else f"{radius:.3g}" for radius in record.least_radii)
    console.print(
        f"{record.num_images} test images, {record.norm}, PGD-{record.steps}; the smallest radii that fool the net:"
    )
    console.print(radii)
    console.print(f"The images: {record.images}; bin/report draws them.")


def strip(record, shown, numbers, head=""):
    """The rows of a panel: (title, [(PNG bytes, class, whether the class is correct)])."""
    return [(f"{head}{record.rows[number].title}", row(record, shown, number)) for number in numbers]


def row(record, shown, number):
    """[(PNG bytes, class, whether the class is correct)] of a row; class "" where it has no predictions."""
    predicted = record.rows[number].classes
    return [
        (png(image), record.class_names[label] if predicted else "", label == true)
        for image, label, true in zip(shown[number], predicted or record.labels, record.labels)
    ]


def panels(runs):
    """For each evaluation the perturbed images."""
    figures = []
    for label, record, shown in with_images(runs):
        if shown is None:
            why = f"evaluation/{record.images} cannot be read; bin/evaluate --mode=pictures writes it again"
            figures.append(Missing(f"{label}: perturbed images", why))
            continue
        caption = (
            f"PGD with {record.steps} steps, {record.norm}, on the first test images; below each image its predicted"
            " class, in capitals and another colour where it is wrong."
        )
        key, title = f"perturbed-{as_key(label)}", f"{label}: perturbed images"
        figures.append(Figure(key, title, caption, pictures=strip(record, shown, record.attacked)))
    return figures or Missing("Perturbed images", "bin/evaluate --mode=pictures writes them")


def smallest(runs):
    """The smallest perturbations that fool each net, side by side; a panel for each set of images."""
    panels = {}
    for label, record, shown in with_images(runs):
        if shown is None:  # `panels` reports it
            continue
        unperturbed, fooling = record.fooling
        rows = panels.setdefault((shown[unperturbed].tobytes(), record.norm), [])
        rows += [] if rows else [("no attack", [(image, "", True) for image, _, _ in row(record, shown, unperturbed)])]
        texts = ["none" if radius is None else f"{radius:.3g}" for radius in record.least_radii]
        pictures = zip(row(record, shown, fooling), texts)
        rows.append((label, [(image, f"{name}, {text}", right) for (image, name, right), text in pictures]))
    title = "The smallest perturbations that fool the nets"
    caption = (
        f"PGD at the smallest of {RADII} radii, up to {FARTHEST} times the eps of the evaluation, that fools the net;"
        " below each image its predicted class and that radius."
    )
    if not panels:
        return Missing(title, "bin/evaluate --mode=pictures writes them")
    return [
        Figure(f"smallest-{i}", title, f"{caption} {norm}.", pictures=rows)
        for i, ((_, norm), rows) in enumerate(panels.items(), 1)
    ]


def saliency(runs):
    """One panel: the images, and below them the saliency maps of all evaluations, for comparison."""
    rows = []
    for label, record, shown in with_images(runs):
        if shown is None:  # `panels` reports it
            continue
        rows = rows or [("images", [(image, "", True) for image, _, _ in strip(record, shown, [0])[0][1]])]
        rows += strip(record, shown, record.maps, f"{label}: ")
    if not rows:
        return Missing("Saliency", "bin/evaluate --mode=pictures writes it")
    caption = (
        "White: pixels on which the logit of the true class depends most. Each map is divided by its largest value."
    )
    return Figure("saliency", "Saliency", caption, pictures=rows)


def with_images(runs):
    """(label, record, images) of each evaluation; images: None where they cannot be read."""
    for run in runs:
        for label, record in run.labelled("pictures"):
            yield label, record, read_images(run.path / "evaluation" / record.images, record)


def read_images(path, record):
    """The record's images, uint8 [rows, N, H, W, C]; None where the file is missing, damaged or does not fit."""
    try:
        with np.load(path) as content:
            images = content["images"]
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile):
        return None
    fit = images.dtype == np.uint8 and images.ndim == 5 and images.shape[:2] == (len(record.rows), len(record.labels))
    return images if fit else None


FIGURES = (panels, smallest, saliency)
