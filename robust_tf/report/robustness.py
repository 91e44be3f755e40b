"""What attacks leave (thesis, figures 4.5, 4.6, C.1, C.2 and tables 4.2, C.1)."""

import altair as alt

from robust_tf.report.figures import COLOURS, HEIGHT, WIDTH, Figure, Missing, bars, lines, percent
from robust_tf.report.overview import described
from robust_tf.report.papers import printed


def attacks(runs):
    rows = []
    for run in runs:
        for record in run.of_mode("attacks"):
            setting = f"{run.name}: {described(record)}"
            rows.append({"run": setting, "attack": "no attack", "accuracy": record["clean_accuracy"]})
            for name, accuracy in record["per_attack"].items():
                rows.append({"run": setting, "attack": name, "accuracy": accuracy})
            rows.append({"run": setting, "attack": "the worst for each image", "accuracy": record["robust_accuracy"]})
    if not rows:
        return Missing("Accuracy by attack", "bin/evaluate --attacks=... writes it")
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(color=COLOURS[0])
        .encode(
            y=alt.Y("attack:N", title=None, sort=None),
            x=alt.X("accuracy:Q", title="accuracy on test images", axis=alt.Axis(format="%")),
            tooltip=["run:N", "attack:N", alt.Tooltip("accuracy:Q", format=".2%")],
        )
        .properties(width=WIDTH, height=alt.Step(12))
        .facet(row=alt.Row("run:N", title=None, sort=None, header=alt.Header(labelOrient="top", labelAnchor="start")))
        .resolve_scale(y="independent")
    )
    return Figure("attacks", "Accuracy by attack", "The shortest bar of a run is nearest to the truth.", chart=chart)


def autoattack(runs):
    """Table 4.2: what is left after each attack; with what the thesis prints for such nets."""
    rows = []
    for run in runs:
        for record in run.of_mode("attacks"):
            if record["attacks"] == ["autoattack"]:
                after = "; ".join(f"{name} {accuracy:.2%}" for name, accuracy in record["per_attack"].items())
                rows.append((run.name, f"eps {record['eps']:.4g}", percent(record["clean_accuracy"]), after, "ours"))
    if not rows:
        return Missing("AutoAttack", "bin/evaluate --attacks=autoattack writes it")
    models = {(run.config.get("dataset"), run.config.get("model")) for run in runs}
    for row in printed("thesis_table_4_2"):
        if (row["dataset"], row["model"]) in models:
            kept = f"{row['model']}, {row['kept']:g} % of the weights"
            after = f"AutoAttack {row['autoattack']:.1f} %"
            rows.append((kept, "eps 8/255", f"{row['clean']:.1f} %", after, "printed in the thesis, table 4.2"))
    return Figure(
        "autoattack",
        "AutoAttack: what is left after each attack",
        "Each attack sees the images that those before it did not break; the last figure is the robust accuracy.",
        columns=("net", "radius", "clean", "left after", "whose"),
        rows=rows,
    )


def curve(runs):
    rows = [
        {"run": run.name, "eps": point["eps"], "accuracy": point["accuracy"]}
        for run in runs
        for record in run.of_mode("curve")
        for point in [{"eps": 0.0, "accuracy": record["clean_accuracy"]}, *record["curve"]]
    ]
    if not rows:
        return Missing("Robust accuracy against eps", "bin/evaluate --mode=curve writes it")
    chart = lines(rows, ("eps", "eps, in pixels of [0, 1]"), ("accuracy", "accuracy under PGD"), "run")
    return Figure("curve", "Robust accuracy against eps", "Of test images; at eps 0 without attack.", chart=chart)


def transfer(runs):
    rows = [
        {"of": f"{run.name} on {target.rsplit('/', 1)[-1]}", "eps": eps, "accuracy": accuracy}
        for run in runs
        for record in run.of_mode("transfer")
        for target, accuracies in record["matrix"].items()
        for eps, accuracy in zip(record["radii"], accuracies)
    ]
    if not rows:
        return Missing("Transfer", "bin/evaluate --mode=transfer --targets=... writes it")
    chart = lines(rows, ("eps", "eps, in pixels of [0, 1]"), ("accuracy", "accuracy"), "of")
    return Figure("transfer", "Transfer", "Examples crafted on one net, judged by another.", chart=chart)


def ensemble(runs):
    rows = [
        (run.name, record["natural"], f"{record['eps']:.4g}", percent(record["clean_accuracy"]))
        + (percent(record["not_adaptive"]), percent(record["adaptive"]), percent(record["robust_accuracy"]))
        for run in runs
        for record in run.of_mode("ensemble")
    ]
    if not rows:
        return Missing(
            "Ensembles of a natural and a robust net", "bin/evaluate --mode=ensemble --natural=... writes it"
        )
    datasets = {run.config.get("dataset") for run in runs}
    for row in printed("thesis_table_c_1"):
        if row["dataset"] in datasets and row["training"] == "combined":
            nets = (f"{row['model']}, printed in the thesis, table C.1", f"natural {row['model']}")
            rows.append((*nets, "0.1", f"{row['clean']} %", f"PGD {row['pgd']} %, CW {row['cw']} %", "", ""))
    columns = ("robust net", "natural net", "eps", "clean", "attack on one net", "attack on the ensemble", "worst")
    caption = "An attack that knows of the ensemble undoes what an attack on one of its nets promises."
    return Figure("ensemble", "Ensembles of a natural and a robust net", caption, columns=columns, rows=rows)


def minimal(runs):
    rows = [
        {"run": run.name, "radius": radius}
        for run in runs
        for record in run.of_mode("minimal")
        for radius in record["least_radii"]
        if radius is not None
    ]
    if not rows:
        return Missing("The smallest radius that fools", "bin/evaluate --mode=minimal writes it")
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(opacity=0.7)
        .encode(
            x=alt.X("radius:Q", bin=alt.Bin(maxbins=30), title="eps, in pixels of [0, 1]"),
            y=alt.Y("count()", title="images", stack=None),
            color=alt.Color("run:N", title=None),
            tooltip=["run:N", "count()"],
        )
        .properties(width=WIDTH, height=HEIGHT)
    )
    return Figure("minimal", "The smallest radius that fools", "Of each test image; 0 is wrong already.", chart=chart)


def files(runs):
    rows = [
        {"run": run.name, "file": file, "accuracy": found["robust_accuracy"]}
        for run in runs
        for record in run.of_mode("tflite")
        for file, found in record["files"].items()
    ]
    if not rows:
        return Missing("Attacks on the files themselves", "bin/evaluate --mode=tflite writes it")
    chart = bars(rows, ("file", None), ("accuracy", "robust accuracy"), "run", "%")
    caption = "The worst of transfer from the float net, a surrogate's gradient and Square on the file's own scores."
    return Figure("files", "Attacks on the files themselves", caption, chart=chart)


FIGURES = (attacks, autoattack, curve, transfer, ensemble, minimal, files)
