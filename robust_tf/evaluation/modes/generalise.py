"""generalise: accuracy under FGSM, IFGSM and WRM, which training did not use (Gui et al., section 3).

No radius bounds WRM, so accuracy under it is no worst case within eps; the mean size of the perturbations is shown too.
"""

import time

import numpy as np
from rich.table import Table

from robust_tf.data.pixels import in_batches
from robust_tf.drawing.figures import Figure, Missing, bars
from robust_tf.drawing.words import percent
from robust_tf.evaluation.accuracy import correct, crafted
from robust_tf.terminal import number_of, progress_bar

SHOWN = ("fgsm", "ifgsm", "wrm")


def measure(subject, config, record_path):
    clean, survived, lengths = [], {name: [] for name in SHOWN}, {name: [] for name in SHOWN}
    seconds, ball = dict.fromkeys(SHOWN, 0.0), {"eps": config.eps, "norm": config.norm, "seed": config.seed}
    with progress_bar() as progress:
        task = progress.add_task("attacking", total=len(subject.images) * len(SHOWN), unit="images")
        for start, x, y in in_batches(subject.images, subject.labels, config.batch_size):
            clean.append(correct(subject.logits_fn, x, y))
            for name in SHOWN:
                began = time.perf_counter()
                x_adv = crafted(name, subject.logits_fn, x, y, config, numbers=range(start, start + len(x)), **ball)
                survived[name].append(correct(subject.logits_fn, x_adv, y))
                delta = (x_adv - x).numpy().reshape(len(y), -1)
                lengths[name].append(np.stack([np.abs(delta).max(1), np.linalg.norm(delta, axis=1)]))
                seconds[name] += time.perf_counter() - began
                progress.advance(task, len(x))
    means = {name: np.concatenate(parts, 1).mean(1) for name, parts in lengths.items()}
    return subject.record(
        config,
        clean_accuracy=float(np.concatenate(clean).mean()),
        per_attack={name: float(np.concatenate(kept).mean()) for name, kept in survived.items()},
        mean_linf={name: float(mean[0]) for name, mean in means.items()},
        mean_l2={name: float(mean[1]) for name, mean in means.items()},
        per_attack_seconds={name: round(value, 2) for name, value in seconds.items()},
        seconds=round(sum(seconds.values()), 2),
    )


def show(record, console):
    table = Table(
        "under", "accuracy", "mean L-inf", "mean L2", "seconds",
        title=f"{number_of(record.num_images, 'test image')}; fgsm, ifgsm: {record.norm} eps {record.eps:g}",
        caption=f"ifgsm: steps {record.steps}, alpha {record.alpha:g}; wrm: loss weight {record.loss_weight:g},"
        f" deviation {record.deviation:g}, steps {record.wrm_steps}",
    )  # fmt: skip
    table.add_row("no attack", percent(record.clean_accuracy, record.num_images), "", "", "")
    for name, accuracy in record.per_attack.items():
        table.add_row(
            name, percent(accuracy, record.num_images), f"{record.mean_linf[name]:.4f}", f"{record.mean_l2[name]:.4f}",
            f"{record.per_attack_seconds[name]:.1f}",
        )  # fmt: skip
    console.print(table)
    console.print("No radius bounds wrm: accuracy under it is no worst case within eps.")


def side_by_side(runs):
    rows = [
        {
            "run": label,
            "attack": name,
            "accuracy": accuracy,
            "l2": record.mean_l2.get(name, 0.0),
            "linf": record.mean_linf.get(name, 0.0),
        }
        for run in runs
        for label, record in run.labelled("generalise")
        for name, accuracy in {"no attack": record.clean_accuracy, **record.per_attack}.items()
    ]
    if not rows:
        return Missing("Attacks that training did not see", "bin/evaluate --mode=generalise writes it")
    chart = bars(rows, ("attack", None), ("accuracy", "accuracy on test images"), "run", "%", ("linf:Q", "l2:Q"))
    caption = (
        "Accuracy under FGSM, IFGSM and WRM. No radius bounds WRM: accuracy under it is no worst case within eps, but"
        " the tooltip of a bar gives the mean norms of the perturbations."
    )
    return Figure("generalise", "Attacks that training did not see", caption, chart=chart)


FIGURES = (side_by_side,)
