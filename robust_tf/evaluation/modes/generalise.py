"""generalise: one net under attacks that it was not trained on, FGSM, IFGSM and WRM side by side (Gui et al., 4.3).

WRM keeps to no ball, so that its column is no worst case within eps: how far each attack moves is shown too.
"""

import time

import numpy as np
from rich.table import Table

from robust_tf.evaluation.accuracy import batches, correct, crafted
from robust_tf.evaluation.modes import Mode
from robust_tf.terminal import progress_bar

ATTACKS = ("fgsm", "ifgsm", "wrm")


def measure(subject, asked, config, path):
    clean, survived, lengths = [], {name: [] for name in ATTACKS}, {name: [] for name in ATTACKS}
    seconds = dict.fromkeys(ATTACKS, 0.0)
    with progress_bar() as progress:
        task = progress.add_task("attacking", total=len(subject.images) * len(ATTACKS), unit="images")
        for start, x, y in batches(subject.images, subject.labels, config.batch_size):
            clean.append(correct(subject.logits_fn, x, y))
            for name in ATTACKS:
                began = time.perf_counter()
                x_adv = crafted(name, subject.logits_fn, x, y, {**asked, "seed": config.seed}, start)
                survived[name].append(correct(subject.logits_fn, x_adv, y))
                delta = (x_adv - x).numpy().reshape(len(y), -1)
                lengths[name].append(np.stack([np.abs(delta).max(1), np.linalg.norm(delta, axis=1)]))
                seconds[name] += time.perf_counter() - began
                progress.advance(task, len(x))
    means = {name: np.concatenate(parts, 1).mean(1) for name, parts in lengths.items()}
    return {
        "clean_accuracy": float(np.concatenate(clean).mean()),
        "per_attack": {name: float(np.concatenate(kept).mean()) for name, kept in survived.items()},
        "mean_linf": {name: float(mean[0]) for name, mean in means.items()},
        "mean_l2": {name: float(mean[1]) for name, mean in means.items()},
        "per_attack_seconds": {name: round(value, 2) for name, value in seconds.items()},
        "seconds": round(sum(seconds.values()), 2),
    }


def show(record, console):
    table = Table(
        "under", "accuracy", "mean L-inf", "mean L2", "seconds",
        title=f"{record['num_images']:,} test images; fgsm, ifgsm: {record['norm']} eps {record['eps']:g}",
        caption=f"ifgsm: steps {record['steps']}, alpha {record['alpha']:g}; wrm: weight {record['loss_weight']:g} in"
        f" units of {record['deviation']:g}, steps {record['wrm_steps']}",
    )  # fmt: skip
    table.add_row("no attack", f"{record['clean_accuracy']:.2%}", "", "", "")
    for name, accuracy in record["per_attack"].items():
        table.add_row(
            name, f"{accuracy:.2%}", f"{record['mean_linf'][name]:.4f}", f"{record['mean_l2'][name]:.4f}",
            f"{record['per_attack_seconds'][name]:.1f}",
        )  # fmt: skip
    console.print(table)
    console.print("wrm keeps to no ball: its accuracy is no worst case within eps.")


MODE = Mode(measure, show)
