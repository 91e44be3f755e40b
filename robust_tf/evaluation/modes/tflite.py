"""tflite: the robust accuracy of the exported files themselves.

A file gives scores and no gradients. Three kinds of attacks in sequence, each on what is left: images crafted on its
float twin, the run's Keras net (transfer); APGD whose forward pass is the file and whose backward pass is the twin's
(a surrogate gradient, straight through the rounding); Square on the file's scores alone. What survives all of them is
the file's robust accuracy.
"""

import json
from pathlib import Path

import tensorflow as tf
from rich.table import Table

from robust_tf.evaluation import tflite
from robust_tf.evaluation.autoattack import step
from robust_tf.evaluation.modes import Mode
from robust_tf.evaluation.modes.attacks import outcome
from robust_tf.evaluation.sequence import in_sequence
from robust_tf.refusal import Refusal
from robust_tf.rundir import digest
from robust_tf.terminal import progress_bar, sequence_progress


def measure(subject, asked, config, path):
    chosen = files(config)
    records = {}
    with progress_bar() as progress:
        for file in chosen:
            judge = tflite.scorer(file, subject.net.output_shape[-1])
            steps = against(judge, subject.logits_fn, asked)
            survived, seconds = in_sequence(
                judge, steps, subject.images, subject.labels, seed=config.seed, batch_size=config.batch_size,
                saved=path.with_name(f"{path.stem}.{file.stem}.state.npz"),
                identity=json.dumps([subject.digest, digest(file), config.batch_size]),
                progress=sequence_progress(progress, f"{file.name}: "),
            )  # fmt: skip
            records[file.name] = outcome(steps, survived, seconds)
    worst = min(records.values(), key=lambda of: of["robust_accuracy"])
    return {
        "files": records,
        "clean_accuracy": worst["clean_accuracy"],
        "robust_accuracy": worst["robust_accuracy"],
        "seconds": round(sum(of["seconds"] for of in records.values()), 2),
    }


def files(config):
    """The .tflite files to attack; raises Refusal where there is none."""
    exported = (Path(config.workdir) / "export").glob("*.tflite")
    found = [Path(config.file)] if config.file else sorted(exported)
    if not found or not found[0].is_file():
        where = config.file or f"{config.workdir}/export"
        raise Refusal(f"--mode=tflite: expected a .tflite file, as bin/export_tflite writes them; got none at {where}")
    return found


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
