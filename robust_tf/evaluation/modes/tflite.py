"""tflite: the robust accuracy of the exported files themselves.

A file gives scores and no gradients. Three kinds of attacks in sequence, each on what is left: images crafted on its
float twin, the run's Keras net (transfer); APGD whose forward pass is the file and whose backward pass is the twin's
(a surrogate gradient, straight through the rounding); Square on the file's scores alone. What survives all of them is
the file's robust accuracy.
"""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.table import Table

from robust_tf.evaluation import tflite
from robust_tf.evaluation.autoattack import step
from robust_tf.evaluation.modes import Mode
from robust_tf.evaluation.modes.attacks import outcome
from robust_tf.evaluation.sanity import IMAGES, of_outputs
from robust_tf.evaluation.sequence import in_sequence
from robust_tf.refusal import Refusal
from robust_tf.rundir import digest, read_json
from robust_tf.terminal import progress_bar, sequence_progress

TWIN = 0.25  # mean difference of a file's scores from its float net's, as a fraction of theirs; int8 has a few percent


def measure(subject, asked, config, path):
    chosen = files(config, subject.digest)
    ends = subject.net.input_shape[1:], subject.net.output_shape[-1]
    judges = {file: tflite.scorer(file, *ends) for file in chosen}
    records, flags = {}, []
    with progress_bar() as progress:
        for file in chosen:
            judge = judges[file]
            steps = against(judge, subject.logits_fn, asked)
            found = in_sequence(
                judge, steps, subject.images, subject.labels, seed=config.seed, batch_size=config.batch_size,
                saved=path.with_name(f"{path.stem}.{file.stem}.state.npz"),
                identity=json.dumps([subject.digest, digest(file), config.batch_size]),
                progress=sequence_progress(progress, f"{file.name}: "),
            )  # fmt: skip
            records[file.name] = outcome(steps, found)
            signs = records[file.name].pop("flags") + of_file(judge, subject)
            flags += [f"{file.name}: {sign}" for sign in signs]
    worst = min(records.values(), key=lambda of: of["robust_accuracy"])
    return {
        "files": records,
        "flags": flags,
        "clean_accuracy": worst["clean_accuracy"],
        "robust_accuracy": worst["robust_accuracy"],
        "seconds": round(sum(of["seconds"] for of in records.values()), 2),
    }


def files(config, net_digest):
    """The .tflite files to attack; raises Refusal where there is none, or they were exported from another net."""
    export = Path(config.workdir) / "export"
    found = [Path(config.file)] if config.file else sorted(export.glob("*.tflite"))
    if not config.file and found and read_json(export / "manifest.json").get("model_sha256") != net_digest:
        raise Refusal(f"{export}: expected files of this run's net, as bin/export_tflite writes them; got older ones")
    if not found or not found[0].is_file():
        where = config.file or f"{config.workdir}/export"
        raise Refusal(f"--mode=tflite: expected a .tflite file, as bin/export_tflite writes them; got none at {where}")
    return found


def of_file(judge, subject):
    """Signs in a file's scores on the first images: of the scores, and that the net is not its float twin."""
    x = tf.cast(subject.images[:IMAGES], tf.float32) / 255
    z, twin = judge(x).numpy(), subject.logits_fn(x).numpy()
    apart = float(np.abs(z - twin).mean() / np.abs(twin - twin.mean(-1, keepdims=True)).mean())
    flags = of_outputs(judge, x)
    if apart > TWIN:
        flags.append(
            f"its scores are {apart:.0%} away from the net's: of another net, its images and gradients say little here"
        )
    return flags


def against(judge, twin, asked):
    """The Steps against `judge`, a file's scores, whose float twin has gradients."""
    eps = asked["eps"]
    surrogate = straight_through(judge, twin)
    pgd = {name: asked[name] for name in ("steps", "alpha", "restarts")}
    apgd = {name: asked[name] for name in ("steps", "restarts")}
    return [
        step("pgd", twin, "pgd on the float net", eps=eps, **pgd),
        step("apgd_ce", twin, "apgd_ce on the float net", eps=eps, **apgd),
        step("apgd_ce", surrogate, "apgd_ce, surrogate gradient", eps=eps, **apgd),
        step("cw_linf", surrogate, "cw_linf, surrogate gradient", eps=eps, **pgd),
        step("square", judge, "square on the file", eps=eps, queries=asked["queries"]),
    ]


def straight_through(judge, twin):
    """Scores of `judge` with the gradient of `twin`: twin(x) + stop_gradient(judge(x) - twin(x))."""

    def scores(x):
        z = twin(x)
        return z + tf.stop_gradient(judge(x) - z)

    return scores


def show(record, console):
    for name, of in record["files"].items():
        table = Table(
            "after", "accuracy", "seconds",
            title=f"{name}: {record['num_images']:,} test images, {record['norm']} eps {record['eps']:g}",
            caption=f"steps {record['steps']}, alpha {record['alpha']:g}, restarts {record['restarts']}, queries"
            f" {record['queries']}, seed {record['seed']}; each attack on what is left",
        )  # fmt: skip
        table.add_row("no attack", f"{of['clean_accuracy']:.2%}", "")
        for attack, accuracy in of["per_attack"].items():
            table.add_row(attack, f"{accuracy:.2%}", f"{of['per_attack_seconds'][attack]:.1f}")
        table.add_row("all of them", f"{of['robust_accuracy']:.2%}", f"{of['seconds']:.1f}")
        console.print(table)


MODE = Mode(measure, show)
