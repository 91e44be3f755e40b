"""certify: the images that each exported file provably classifies correctly, computed from the bytes of the file.

What is certified of a net in Keras does not hold for a file in 8-bit integers, nor for its rounding in floats
(Henzinger et al., arXiv 2012.08185). The bounds here are those of the file's own operations, and hold for all kernels.
"""

from rich.table import Table

from robust_tf.certification import file
from robust_tf.data.pixels import pixels
from robust_tf.drawing.figures import Figure, Missing
from robust_tf.drawing.words import number, percent
from robust_tf.evaluation.certificates import certified_file
from robust_tf.evaluation.modes.tflite import files
from robust_tf.refusal import Refusal
from robust_tf.terminal import number_of, progress_bar
from robust_tf.tflite.graph import Graph


def measure(subject, config, record_path):
    chosen = files(config, subject.run)
    for path in chosen:
        graph = Graph(path)
        file.check_ends(graph, path, subject.net.input_shape[1:], subject.net.output_shape[-1])
        if config.file:  # refused at once, rather than recorded among others
            try:
                file.prover(graph)(pixels(subject.images[:1]).numpy(), subject.labels[:1], config.eps)
            except Refusal as refusal:
                raise Refusal(f"{path}: {refusal}") from None
    found = {}
    with progress_bar() as progress:
        for path in chosen:
            task = progress.add_task(path.name, total=len(subject.images), unit="images")
            found[path.name] = certified_file(
                path, subject.images, subject.labels, config.eps, config.batch_size,
                state_path=record_path.with_name(f"{record_path.stem}.{path.stem}.state.npz"),
                advance=lambda count, task=task: progress.advance(task, count),
            )  # fmt: skip
    return subject.record(
        config,
        clean_accuracy=min(each.correct for each in found.values()) / len(subject.images),
        files=found,
        seconds=round(sum(each.certificate.seconds for each in found.values()), 2),
    )


def show(record, console):
    table = Table(
        "file", "bytes", "correct", "certified at eps 0", f"certified at eps {record.eps:g}", "seconds",
        title=number_of(record.num_images, "test image"),
        caption=holds_for(next(iter(record.files.values())).certificate),
    )  # fmt: skip
    for name, found in record.files.items():
        counts = found.certificate.certified_clean, found.certificate.certified
        shares = ["no" if count is None else share(count, record.num_images) for count in counts]
        correct = share(found.correct, record.num_images)
        table.add_row(name, f"{found.bytes:,}", correct, *shares, f"{found.certificate.seconds:.1f}")
    console.print(table)
    for name, found in record.files.items():
        if found.certificate.reason:
            console.print(f"{name}: not certified: {found.certificate.reason}", soft_wrap=True)


def holds_for(certificate):
    """For which kernels, in words."""
    return (
        f"certified: for every image within eps; of int8 files on the {', '.join(certificate.families)} kernels and any"
        " that round as they do, of float files on kernels that compute in float32 without Winograd's transform;"
        f" correct: with {certificate.runtime} on {certificate.cpu}"
    )


def share(count, images):
    return percent(count / images, images)


def by_file(runs):
    """Certified accuracy of each file, beside its robust accuracy under attack and its bytes."""
    rows = [
        (label, name, number(found.bytes), share(found.correct, record.num_images))
        + (attacked(run, name, record.eps), certificate(found.certificate), f"{record.eps:.4g}")
        for run in runs
        for label, record in run.labelled("certify")
        for name, found in record.files.items()
    ]
    rows += [
        (run.name, file.file, number(file.bytes), percent(file.clean_accuracy, file.certificate.num_images))
        + (attacked(run, file.file, file.certificate.eps), certificate(file.certificate), f"{file.certificate.eps:.4g}")
        for run in runs
        for file in run.files
        if file.certificate and not any(file.file in record.files for record in run.records("certify"))
    ]
    title = "Certificates of the exported files"
    if not rows:
        return Missing(title, "bin/export_tflite and bin/evaluate --mode=certify write them")
    columns = ("run", "file", "bytes", "correct", "under attack", "certified", "eps")
    caption = (
        "Certified: images for which bounds of the file's own operations prove the class for every image within eps, on"
        " all kernels. Under attack: the least accuracy of bin/evaluate --mode=tflite at the same eps. The true robust"
        " accuracy lies between the two."
    )
    return Figure("certificates", title, caption, columns=columns, rows=rows)


def certificate(found):
    return f"no: {found.reason}" if found.reason else percent(found.certified / found.num_images, found.num_images)


def attacked(run, name, eps):
    """The least robust accuracy of the file `name` that attacks found at the radius eps; "" without any."""
    found = [
        (each.files[name], each.num_images) for each in run.records("tflite") if name in each.files and each.eps == eps
    ]
    least = min(found, key=lambda each: each[0].robust_accuracy, default=None)
    return percent(least[0].robust_accuracy, least[1]) if least else ""


FIGURES = (by_file,)
