"""curve: accuracy under PGD at growing radii, until it is below chance (thesis, Algorithm 2)."""

from rich.table import Table

from robust_tf.drawing.figures import Figure, Missing, lines
from robust_tf.drawing.words import percent
from robust_tf.evaluation.accuracy import attacked
from robust_tf.evaluation.sanity import rising, sanity_flags
from robust_tf.evaluation.sparing import spared_at
from robust_tf.records.evaluation import CurvePoint
from robust_tf.terminal import number_of, progress_bar


def measure(subject, config, record_path):
    chance = 1 / subject.net.output_shape[-1]
    curve, flags, seconds = [], [], 0.0
    with progress_bar() as progress:
        task = progress.add_task("attacking", total=len(subject.images) * len(config.radii), unit="images")
        for eps in config.radii:
            left = spared_at(eps, subject.net, subject, config)
            found = attacked(
                subject.logits_fn, subject.images, subject.labels, ["pgd"], config, eps=eps, spared=left,
                progress=lambda done: progress.advance(task, done),
            )  # fmt: skip
            accuracy = float((found.clean & found.survived["pgd"]).mean())
            curve.append(CurvePoint(eps=eps, accuracy=accuracy, not_attacked=left and left.count))
            seconds += found.seconds["pgd"]
            flags += sanity_flags(found, eps)
            if curve[-1].accuracy < chance:
                break
    return subject.record(
        config,
        clean_accuracy=float(found.clean.mean()),
        chance=chance,
        curve=tuple(curve),
        flags=(*flags, *rising({point.eps: point.accuracy for point in curve})),
        seconds=round(seconds, 2),
    )


def show(record, console):
    table = Table(
        "eps", "accuracy",
        title=f"{number_of(record.num_images, 'test image')}, {record.norm}, PGD-{record.steps}",
        caption=f"restarts {record.restarts}, seed {record.seed}, {record.seconds:.0f} s",
    )  # fmt: skip
    table.add_row("0", percent(record.clean_accuracy, record.num_images))
    for point in record.curve:
        table.add_row(f"{point.eps:g}", percent(point.accuracy, record.num_images))
    console.print(table)
    last = record.curve[-1]
    if last.accuracy < record.chance:
        console.print(f"below chance ({record.chance:.0%}) from eps {last.eps:g}")
    else:
        console.print(f"not below chance ({record.chance:.0%}) at the largest radius, {last.eps:g}")


def against_eps(runs):
    rows = [
        {"run": label, "eps": point.eps, "accuracy": point.accuracy}
        for run in runs
        for label, record in run.labelled("curve")
        for point in (CurvePoint(eps=0.0, accuracy=record.clean_accuracy), *record.curve)
    ]
    if not rows:
        return Missing("Robust accuracy against eps", "bin/evaluate --mode=curve writes it")
    chart = lines(rows, ("eps", "eps, in pixels of [0, 1]"), ("accuracy", "accuracy under PGD"), "run")
    return Figure("curve", "Robust accuracy against eps", "On test images; eps 0 is without attack.", chart=chart)


FIGURES = (against_eps,)
