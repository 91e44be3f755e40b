"""quantised: accuracies after 8-bit post-training quantisation of the kernels (Gui et al., section 4)."""

import numpy as np
import tf_keras as keras
from rich.table import Table

from robust_tf.compression.quantise import QUANTISERS
from robust_tf.evaluation.accuracy import attacked, inference
from robust_tf.evaluation.modes import Mode
from robust_tf.evaluation.sanity import sanity_flags
from robust_tf.models.kernels import kernels
from robust_tf.terminal import progress_bar


def measure(subject, asked, config, path):
    nets = {"float32": subject.net} | {name: quantised(subject.net, of) for name, of in QUANTISERS.items()}
    record = {"nets": {}, "flags": []}
    with progress_bar() as progress:
        task = progress.add_task(
            "attacking", total=len(nets) * len(subject.images) * len(asked["attacks"]), unit="images"
        )
        for name, net in nets.items():
            logits_fn = inference(net)
            found = attacked(
                logits_fn, subject.images, subject.labels, asked["attacks"], {**asked, "seed": config.seed},
                config.batch_size, lambda done: progress.advance(task, done),
            )  # fmt: skip
            record["nets"][name] = {
                "kernels_nonzero": sum(int(np.count_nonzero(w.numpy())) for w in kernels(net)),
                "clean_accuracy": float(found.clean.mean()),
                "robust_accuracy": float(np.logical_and.reduce([found.clean, *found.survived.values()]).mean()),
                "per_attack": {attack: float(kept.mean()) for attack, kept in found.survived.items()},
                "seconds": round(sum(found.seconds.values()), 2),
            }
            flags = sanity_flags(found, asked["eps"])
            if net is not subject.net:  # of that one every evaluation says it
                flags += subject.probed(logits_fn, asked["eps"], asked["norm"], config.seed)
            record["flags"] += [f"{name}: {flag}" for flag in flags]
    seconds = round(sum(of["seconds"] for of in record["nets"].values()), 2)
    return {"clean_accuracy": record["nets"]["float32"]["clean_accuracy"], **record, "seconds": seconds}


def quantised(net, quantiser):
    """A copy of the net with quantised kernels; biases and batch statistics stay as they are."""
    twin = keras.models.clone_model(net)
    twin.set_weights(net.get_weights())
    for w in kernels(twin):
        w.assign(quantiser(w.numpy()))
    return twin


def show(record, console):
    table = Table(
        "kernels", "non-zero", "clean", *record["attacks"], "the worst for each image", "seconds",
        title=f"{record['num_images']:,} test images, {record['norm']} eps {record['eps']:g}",
        caption=f"steps {record['steps']}, alpha {record['alpha']:g}, restarts {record['restarts']}, seed"
        f" {record['seed']}",
    )  # fmt: skip
    for name, of in record["nets"].items():
        accuracies = [of["clean_accuracy"], *of["per_attack"].values(), of["robust_accuracy"]]
        cells = [f"{accuracy:.2%}" for accuracy in accuracies]
        table.add_row(name, f"{of['kernels_nonzero']:,}", *cells, f"{of['seconds']:.1f}")
    console.print(table)
    console.print("symmetric keeps zeros (a scale for each output channel); min_max does not (one range a kernel).")


MODE = Mode(measure, show)
