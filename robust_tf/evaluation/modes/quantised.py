"""quantised: accuracies after 8-bit post-training quantisation (Gui et al., section 3).

Of the kernels; of a net of ATMC also of its factors U', V and C, which is what the paper stores in 8 bits.
"""

import numpy as np
import tf_keras as keras
from rich.table import Table

from robust_tf.compression import atmc
from robust_tf.compression.plain import plain
from robust_tf.compression.quantise import QUANTISERS
from robust_tf.drawing.figures import Figure, Missing, bars
from robust_tf.drawing.papers import printed
from robust_tf.drawing.words import percent
from robust_tf.evaluation.accuracy import attacked, inference
from robust_tf.evaluation.modes.attacks import not_attacked, settings_in_words
from robust_tf.evaluation.sanity import sanity_flags
from robust_tf.evaluation.sparing import spared_at
from robust_tf.models.kernels import kernels
from robust_tf.models.load import load_net
from robust_tf.records.evaluation import QuantisedNet
from robust_tf.terminal import number_of, progress_bar


def measure(subject, config, record_path):
    nets = {"float32": subject.net, **quantised(subject)}
    found, flags = {}, []
    with progress_bar() as progress:
        task = progress.add_task(
            "attacking", total=len(nets) * len(subject.images) * len(config.attacks), unit="images"
        )
        for name, net in nets.items():
            logits_fn, left = inference(net), spared_at(config.eps, net, subject, config)
            results = attacked(
                logits_fn, subject.images, subject.labels, config.attacks, config, spared=left,
                progress=lambda done: progress.advance(task, done),
            )  # fmt: skip
            found[name] = QuantisedNet(
                kernels_nonzero=sum(int(np.count_nonzero(w.numpy())) for w in kernels(net)),
                clean_accuracy=float(results.clean.mean()),
                robust_accuracy=float(results.robust.mean()),
                per_attack={attack: float(kept.mean()) for attack, kept in results.survived.items()},
                seconds=round(results.total_seconds, 2),
                not_attacked=left and left.count,
            )
            signs = sanity_flags(results, config.eps)
            if net is not subject.net:  # which every evaluation probes
                signs += subject.probed(logits_fn, config.eps, config.norm, config.seed)
            flags += [f"{name}: {sign}" for sign in signs]
    return subject.record(
        config,
        clean_accuracy=found["float32"].clean_accuracy,
        nets=found,
        flags=tuple(flags),
        seconds=round(sum(each.seconds for each in found.values()), 2),
    )


def quantised(subject):
    """{name: net}: each quantiser applied to the kernels, and to the factors if the run has them."""
    nets = {name: with_8_bit_kernels(subject.net, quantiser) for name, quantiser in QUANTISERS.items()}
    if subject.run.factorised_path.exists():
        for name, quantiser in QUANTISERS.items():
            factorised = load_net(subject.run.factorised_path)
            for factor in atmc.factors(factorised):
                factor.assign(quantiser(factor.numpy()))
            nets[f"{name}, factors"] = plain(factorised)
    return nets


def with_8_bit_kernels(net, quantiser):
    """A copy of the net with quantised kernels; all other weights stay float32."""
    twin = keras.models.clone_model(net)
    twin.set_weights(net.get_weights())
    for w in kernels(twin):
        w.assign(quantiser(w.numpy()))
    return twin


def show(record, console):
    table = Table(
        "kernels", "non-zero", "clean", *record.attacks, "the worst for each image", "seconds",
        title=f"{number_of(record.num_images, 'test image')}, {record.norm} eps {record.eps:g}",
        caption=f"{settings_in_words(record)}, seed {record.seed}",
    )  # fmt: skip
    for name, found in record.nets.items():
        accuracies = [found.clean_accuracy, *found.per_attack.values(), found.robust_accuracy]
        cells = [percent(accuracy, record.num_images) for accuracy in accuracies]
        table.add_row(name, f"{found.kernels_nonzero:,}", *cells, f"{found.seconds:.1f}")
    console.print(table)
    if count := sum(each.not_attacked or 0 for each in record.nets.values()):
        console.print(not_attacked(count))
    console.print(
        "symmetric keeps zeros (one scale for each output channel); min_max does not (one range for each kernel)."
    )


def by_quantiser(runs):
    rows = [
        {"net": f"{label}, {name}", "under": under, "accuracy": accuracy}
        for run in runs
        for label, record in run.labelled("quantised")
        for name, found in record.nets.items()
        for under, accuracy in (
            ("no attack", found.clean_accuracy),
            ("the worst for each image", found.robust_accuracy),
        )
    ]
    if not rows:
        return Missing("Accuracy with 8-bit kernels", "bin/evaluate --mode=quantised writes it")
    chart = bars(rows, ("net", None), ("accuracy", "accuracy on test images"), "under", "%")
    caption = (
        "float32: without quantisation. Symmetric quantisation keeps weights that are zero; min-max quantisation does"
        " not (Gui et al., section 3)."
    )
    return Figure("quantised", "Accuracy with 8-bit kernels", caption, chart=chart)


def as_printed(runs):
    """Tables 7 to 10 for the runs' nets: accuracies in float32 and after 8-bit quantisation; nothing for other nets."""
    nets = {(run.config.dataset, run.config.model) for run in runs if run.config and run.records("quantised")}
    rows = [
        (row["model"], row["method"], f"{row['ratio']:.1%}", *(percent(row[name]) for name in PRINTED))
        for row in printed("atmc_tables_7_to_10")
        if (row["dataset"], row["model"]) in nets
    ]
    columns = ("net", "method", "kept", "clean", "IFGSM", "clean, 8 bits", "IFGSM, 8 bits")
    caption = "Their post-training quantiser does not keep zeros; ATMC is trained with 8 bits."
    title = "8-bit nets as printed in Gui et al., tables 7 to 10"
    return [Figure("quantised-printed", title, caption, columns=columns, rows=rows)] if rows else []


PRINTED = ("clean", "ifgsm", "clean_8bit", "ifgsm_8bit")
FIGURES = (by_quantiser, as_printed)
