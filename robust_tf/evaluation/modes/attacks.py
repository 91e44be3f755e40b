"""attacks: accuracy under each attack and under the worst of them, or under AutoAttack."""

import json

import altair as alt
import numpy as np
from rich.table import Table

from robust_tf.attacks import ATTACKS
from robust_tf.drawing.figures import COLOURS, WIDTH, Figure, Missing
from robust_tf.drawing.papers import printed
from robust_tf.drawing.words import described, numbered, percent
from robust_tf.evaluation import SEQUENCES
from robust_tf.evaluation.accuracy import attacked
from robust_tf.evaluation.looks import by_looks
from robust_tf.evaluation.sanity import sanity_flags, sequence_flags
from robust_tf.evaluation.sequence import broken_by, in_sequence
from robust_tf.evaluation.sparing import spared
from robust_tf.records.interval import half_width
from robust_tf.terminal import number_of, progress_bar, sequence_progress


def measure(subject, config, record_path):
    return (under_sequence if config.attacks[0] in SEQUENCES else under_each)(subject, config, record_path)


def under_each(subject, config, record_path):
    """Every attack on every image that is not spared."""
    left = spared(subject.proven, config)
    with progress_bar() as progress:

        def attack(among):
            task = progress.add_task("attacking", total=len(among) * len(config.attacks), unit="images")
            found = attacked(
                subject.logits_fn, subject.images, subject.labels, config.attacks, config, spared=left, among=among,
                progress=lambda done: progress.advance(task, done),
            )  # fmt: skip
            progress.remove_task(task)
            return found

        sample, found = known(attack, len(subject.images), config, progress)
    return subject.record(
        config,
        **of_sample(sample, len(subject.images), left),
        clean_accuracy=float(found.clean.mean()),
        robust_accuracy=float(found.robust.mean()),
        per_attack={name: float(kept.mean()) for name, kept in found.survived.items()},
        flags=tuple(sanity_flags(found, config.eps)),
        per_attack_seconds={name: round(value, 2) for name, value in found.seconds.items()},
        seconds=round(found.total_seconds, 2),
    )


def under_sequence(subject, config, record_path):
    """Attacks in sequence, or each on all images that are classified correctly without attack."""
    attacks, left = SEQUENCES[config.attacks[0]](subject.logits_fn, config), spared(subject.proven, config)
    with progress_bar() as progress:
        advance = sequence_progress(progress)

        def attack(among):
            return in_sequence(
                subject.logits_fn, attacks, subject.images, subject.labels, seed=config.seed, among=among,
                batch_size=config.batch_size, individually=config.individual, spared=left,
                identity=json.dumps([subject.run.digest]), progress=advance,
                state_path=record_path.with_name(f"{record_path.stem}.from-{among[0]}.state.npz"),
            )  # fmt: skip

        sample, found = known(attack, len(subject.images), config, progress)
    flags = tuple(sequence_flags(attacks, found, config.individual))
    of = of_sample(sample, len(subject.images), left)
    return subject.record(config, **of, flags=flags, **outcome(attacks, found))


def known(attack, count, config, progress):
    """(numbers of the images that were drawn, None for all `count`; attack(numbers)): as many as --margin and
    --time_limit ask for."""
    if config.margin is None and config.time_limit is None:
        return None, attack(np.arange(count))
    task = progress.add_task("images drawn", total=count, unit="images")

    def looked(done, robust, margin):
        said = f"images drawn, {robust:.2%} robust, give or take {margin:.2%}"
        progress.update(task, completed=done, description=said)

    return by_looks(attack, count, config, looked)


def of_sample(sample, count, left):
    """Fields of the record that tell which of `count` images were attacked."""
    if sample is None:
        return {"num_images": count, "not_attacked": left and left.count}
    skipped = left and int(left.left_out[sample].sum())
    return {"num_images": len(sample), "sample": tuple(sample.tolist()), "not_attacked": skipped}


def outcome(attacks, found):
    """The results of `in_sequence`, as fields of a record."""
    names, survived = [attack.name for attack in attacks], found.survived
    by = [None if number < 0 else ["clean", *names][number] for number in broken_by(survived)]
    return {
        "clean_accuracy": float(survived[0].mean()),
        "robust_accuracy": float(found.robust.mean()),
        "per_attack": {name: float(kept.mean()) for name, kept in zip(names, survived[1:])},
        "per_attack_seconds": {name: round(float(value), 2) for name, value in zip(names, found.seconds)},
        "seconds": round(found.total_seconds, 2),
        "broken_by": tuple(by),
    }


def caption(record):
    """The settings in words."""
    if record.version:
        seen = "without attack" if record.individual else "after those before it"
        images = f"on the images classified correctly {seen}"
        return f"AutoAttack, {record.version} version, each attack {images}, seed {record.seed}"
    return f"{settings_in_words(record)}, seed {record.seed}"


def settings_in_words(record):
    """ "steps 7, alpha 0.1": the settings that apply to the attacks."""
    named = {name: getattr(record, name) for name in ("steps", "alpha", "restarts", "queries")}
    return ", ".join(f"{name} {value:g}" for name, value in named.items() if value is not None) or "no settings"


def show(record, console):
    table = Table(
        "under", "accuracy", "seconds",
        title=f"{number_of(record.num_images, 'test image')}, {record.norm} eps {record.eps:g}",
        caption=caption(record),
    )  # fmt: skip
    table.add_row("no attack", percent(record.clean_accuracy, record.num_images), "")
    for name, accuracy in record.per_attack.items():
        table.add_row(name, percent(accuracy, record.num_images), f"{record.per_attack_seconds[name]:.1f}")
    worst = "all attacks" if record.version else "the worst for each image"
    table.add_row(worst, percent(record.robust_accuracy, record.num_images), f"{record.seconds:.1f}")
    console.print(table)
    if record.sample is not None:
        console.print(nominal(record.num_images))
        missed = record.margin is not None and half_width(record.robust_accuracy, record.num_images) > record.margin
        if missed:
            console.print(
                f"--margin={record.margin:g} was not reached: half the interval's width is"
                f" {half_width(record.robust_accuracy, record.num_images):.4f}"
            )
    if record.on_margin:
        console.print(f"{', '.join(record.on_margin)}: on the margin, as the ratio of logits needs more classes")
    if record.not_attacked:
        console.print(not_attacked(record.not_attacked))
    if all(ATTACKS[name].gradients for name in record.per_attack if name in ATTACKS):
        console.print(
            "Gradient attacks alone often overestimate robust accuracy, above all on MNIST: the true value is at most"
            " this, and black-box attacks may break more images."
        )


def nominal(count):
    return (
        f"{number_of(count, 'image')} drawn at random; the intervals' 95 % are nominal, as the results had a say in how"
        " many"
    )


def not_attacked(count):
    return (
        f"{number_of(count, 'certified image')} not attacked, as no attack can break them (--noskip_certified attacks"
        " all)"
    )


def headed(runs):
    """[(run and all settings in words, record)]; no two headings are equal."""
    found = [(run.name, record) for run in runs for record in run.records("attacks")]
    headings = [f"{name}: {described(record)}, seed {record.seed}" for name, record in found]
    return [(heading, record) for heading, (_, record) in zip(numbered(headings), found)]


def by_attack(runs):
    rows = [
        {"evaluation": heading, "attack": attack, "accuracy": accuracy}
        for heading, record in headed(runs)
        for attack, accuracy in (
            ("no attack", record.clean_accuracy),
            *record.per_attack.items(),
            ("the worst for each image", record.robust_accuracy),
        )
    ]
    if not rows:
        return Missing("Accuracy by attack", "bin/evaluate --attacks=... writes it")
    header = alt.Header(labelOrient="top", labelAnchor="start")
    order = list(dict.fromkeys(row["evaluation"] for row in rows))
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(color=COLOURS[0])
        .encode(
            y=alt.Y("attack:N", title=None, sort=None),
            x=alt.X("accuracy:Q", title="accuracy on test images", axis=alt.Axis(format="%"), stack=None),
            tooltip=["evaluation:N", "attack:N", alt.Tooltip("accuracy:Q", format=".2%")],
        )
        .properties(width=WIDTH, height=alt.Step(12))
        .facet(row=alt.Row("evaluation:N", title=None, sort=order, header=header))
        .resolve_scale(y="independent")
    )
    return Figure(
        "attacks",
        "Accuracy by attack",
        "Each panel is one evaluation. The last bar counts the images that are classified correctly under all its"
        " attacks; the true robust accuracy at its eps is at most that.",
        chart=chart,
    )


def after_each(runs):
    """AutoAttack: accuracy under each attack, with the figures of the thesis for the same nets (table 4.2)."""
    rows = [
        (run.name, record.version, f"{record.eps:.4g}", f"{record.num_images:,}", str(record.seed))
        + tuple(percent(each, record.num_images) for each in (record.clean_accuracy, record.robust_accuracy))
        + ("; ".join(f"{name} {percent(kept, record.num_images)}" for name, kept in record.per_attack.items()),)
        + ("all images" if record.individual else "images that the attacks before it did not break", "ours")
        for run in runs
        for record in run.records("attacks")
        if record.version
    ]
    if not rows:
        return Missing("AutoAttack", "bin/evaluate --attacks=autoattack writes it")
    columns = (
        "net", "version", "eps", "images", "seed", "clean", "robust", "accuracy under each attack", "each attack sees",
        "source",
    )  # fmt: skip
    caption = (
        "Robust accuracy: images that are classified correctly under all attacks. No attack sees images that are"
        " misclassified without attack."
    )
    return Figure("autoattack", "AutoAttack", caption, columns=columns, rows=rows + printed_rows(runs))


def printed_rows(runs):
    """The rows of the thesis for the runs' data sets and nets."""
    models = {(run.config.dataset, run.config.model) for run in runs if run.config}
    rows = []
    for row in printed("thesis_table_4_2"):
        if (row["dataset"], row["model"]) in models:
            net = f"{row['model']}, {row['kept']:g} % of the weights, trained with eps {row['train_eps']:g}"
            each = "; ".join(f"{name} {row[name]:.1f} %" for name in ("apgd_ce", "apgd_dlr", "fab"))
            robust = f"{row['autoattack']:.1f} %"
            source = "printed in the thesis, table 4.2"
            rows.append((net, "", "8/255", "", "", f"{row['clean']:.1f} %", robust, each, "", source))
    return rows


FIGURES = (by_attack, after_each)
