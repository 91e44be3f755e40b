"""curve: accuracy under PGD at growing radii, until it is below chance (thesis, Algorithm 2)."""

from rich.table import Table

from robust_tf.evaluation.accuracy import attacked
from robust_tf.evaluation.modes import Mode
from robust_tf.evaluation.sanity import rising, sanity_flags
from robust_tf.terminal import progress_bar


def measure(subject, asked, config, path):
    chance = 1 / subject.net.output_shape[-1]
    curve, flags, seconds = [], [], 0.0
    with progress_bar() as progress:
        task = progress.add_task("attacking", total=len(subject.images) * len(asked["radii"]), unit="images")
        for eps in asked["radii"]:
            found = attacked(
                subject.logits_fn, subject.images, subject.labels, ["pgd"],
                {**asked, "eps": eps, "seed": config.seed}, config.batch_size,
                lambda done: progress.advance(task, done),
            )  # fmt: skip
            curve.append({"eps": eps, "accuracy": float((found.clean & found.survived["pgd"]).mean())})
            seconds += found.seconds["pgd"]
            flags += sanity_flags(found, eps)
            if curve[-1]["accuracy"] < chance:
                break
    return {
        "clean_accuracy": float(found.clean.mean()),
        "chance": chance,
        "curve": curve,
        "flags": flags + rising({point["eps"]: point["accuracy"] for point in curve}),
        "seconds": round(seconds, 2),
    }


def show(record, console):
    table = Table(
        "eps", "accuracy",
        title=f"{record['num_images']:,} test images, {record['norm']}, PGD-{record['steps']}",
        caption=f"restarts {record['restarts']}, seed {record['seed']}, {record['seconds']:.0f} s",
    )  # fmt: skip
    table.add_row("0", f"{record['clean_accuracy']:.2%}")
    for point in record["curve"]:
        table.add_row(f"{point['eps']:g}", f"{point['accuracy']:.2%}")
    console.print(table)
    last = record["curve"][-1]
    if last["accuracy"] < record["chance"]:
        console.print(f"below chance ({record['chance']:.0%}) from eps {last['eps']:g}")
    else:
        console.print(f"still above chance ({record['chance']:.0%}) at the largest radius, {last['eps']:g}")


MODE = Mode(measure, show, certifies=True)
