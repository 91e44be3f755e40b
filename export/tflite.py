"""Keras net -> .tflite files. Each file is loaded, run and compared with the net before it is exported."""

import dataclasses
import functools
import gzip

import numpy as np
import tensorflow as tf
from rich.table import Column, Table
from tensorflow.lite.python.convert_phase import ConverterError

from robust_tf.attacks.pgd import pgd
from robust_tf.attacks.seeds import of_images
from robust_tf.certification.certified import certifiable
from robust_tf.compression import atmc
from robust_tf.data.image_files import in_memory
from robust_tf.data.pixels import mapped, pixels
from robust_tf.drawing.words import percent
from robust_tf.evaluation import tflite
from robust_tf.evaluation.accuracy import inference
from robust_tf.evaluation.certificates import certified_file
from robust_tf.evaluation.subject import load_trained
from robust_tf.export import FORMATS
from robust_tf.export.bundle import bundle
from robust_tf.export.columns import columns_as_channels
from robust_tf.export.compact import compact
from robust_tf.export.formats import configured, converted
from robust_tf.export.golden import IMAGES, golden, random_images
from robust_tf.files import digest, replace, write_arrays
from robust_tf.models.kernels import multiply_adds
from robust_tf.models.load import load_net
from robust_tf.records.interval import interval
from robust_tf.records.manifest import Compared, ExportedFile, LeftOut, Manifest, TransferAttack
from robust_tf.records.record import read, write
from robust_tf.refusal import Refusal
from robust_tf.terminal import number_of, progress_bar, screen
from robust_tf.training.rundir import RunDirectory

REPRESENTATIVE = 200  # training images that determine the ranges of int8
CERTIFIED = 100  # images that are certified at once
SAMPLE = 100  # test images that are exported with the files, for the benchmark on the device
# What the converter, the runtimes and `compare` raise for a file that does not ship.
FAILURES = (ValueError, RuntimeError, ConverterError, tf.errors.OpError, Refusal)
LOST = 0.02  # a file that loses more robust accuracy than this against the net is flagged


def compare(path, name, runtime, images, logits):
    """Runs the file in `runtime` on images and compares its scores with the Keras net's logits [N, K].

    images: float32 [N, H, W, C] in [0, 1], or stored ones, uint8.

    Returns:
      scores [N, K] and a dict with agreement and max_abs_diff.

    Raises ValueError where these miss the limits of the format `name`.
    """
    scores = mapped(functools.partial(tflite.scores, tflite.interpreter(path, runtime)), images)
    agreement = float(np.mean(scores.argmax(-1) == logits.argmax(-1)))
    difference = float(np.abs(scores - logits).max())
    limits = FORMATS[name]
    largest = limits.tolerance * float(np.abs(logits).max())
    if not (agreement >= limits.agreement and difference <= largest):
        raise ValueError(
            f"in {runtime}: expected agreement >= {limits.agreement} and logit differences <= {largest:.3g};"
            f" got {agreement:.4f} and {difference:.3g}"
        )
    return scores, {"agreement": agreement, "max_abs_diff": difference}


def export(config):
    """Writes WORKDIR/export/ and returns the Manifest: all files that agree with the net, manifest.json, sample.npz.

    Raises Refusal where no format agrees with the net.
    """
    run, net, dataset, data_dir = load_trained(config)
    images, labels = dataset.load("test", data_dir)
    images, y = in_memory(images[: config.num_images], run.config.memory), labels[: config.num_images]
    representative = pixels(dataset.load("train", data_dir)[0][:REPRESENTATIVE]).numpy()
    folder = run.subfolder("export")
    logits_fn = inference(net)
    logits = mapped(logits_fn, images)
    attack = {"eps": run.config.eps, "norm": run.config.norm, "steps": config.steps}
    x_adv, y_adv = adversarial_images(logits_fn, pixels(images[: config.attack_images]), y, attack, config)

    write_arrays(folder / "sample.npz", images=pixels(images[:SAMPLE]).numpy(), labels=y[:SAMPLE])
    exported, left_out, certifies = [], [], certifiable(net, run.config.norm)
    with progress_bar() as progress:
        task = progress.add_task("exporting", total=len(config.formats), unit="formats")
        nets, no_compact = sources(run, net, any(FORMATS[name].compact for name in config.formats))
        for name in progress.track(config.formats, task_id=task):
            source, shipped = nets.get(FORMATS[name].compact, (None, None))
            if source is None:
                left_out.append(LeftOut(format=name, reason=no_compact))
                continue
            partial = folder / f".{name}.partial"
            converter = configured(shipped, name, representative)  # our code: its errors are ours
            try:
                partial.write_bytes(converted(converter))
                file = checked_file(partial, name, source, images, y, logits, x_adv, y_adv)
                if certifies:
                    found = certified_file(partial, images[: len(y_adv)], y_adv, run.config.eps, CERTIFIED)
                    file = dataclasses.replace(file, certificate=found.certificate)
                exported.append(file)
                partial.replace(folder / exported[-1].file)
            except FAILURES as error:
                left_out.append(LeftOut(format=name, reason=in_one_line(error)))
            finally:
                partial.unlink(missing_ok=True)
    if not exported:
        raise Refusal(f"expected at least one format to agree with the net; got none: {left_out[0].reason}")
    stale = [path for path in folder.glob("*.tflite") if path.name not in [file.file for file in exported]]
    for path in [*stale, folder / "golden.npz", folder / "bundle.tar.gz"]:  # of an earlier export, perhaps another net
        path.unlink(missing_ok=True)
    robust = float(np.mean(mapped(logits_fn, x_adv).argmax(-1) == y_adv))
    manifest = Manifest(
        files=tuple(exported),
        class_names=tuple(dataset.class_names),
        **size(net),
        model_sha256=run.digest,
        left_out=tuple(left_out),
        num_images=len(images),
        keras_clean_accuracy=float(np.mean(logits.argmax(-1) == y)),
        attack=TransferAttack(name="pgd on the Keras net", **attack, seed=config.seed, num_images=len(x_adv)),
        keras_robust_accuracy=robust,
        keras_robust_interval=interval(robust, len(x_adv)),
        flags=(*less_robust(exported, robust), *larger(exported)),
    )
    write(folder / "manifest.json", manifest)
    show(manifest, folder)
    if config.bundle:
        given = run.images is None if config.test_images is None else config.test_images  # None: a published data set
        golden(folder, images[:IMAGES] if given else random_images(net.input_shape[1:]))
        print(bundle(folder, run.path.resolve().name, dataset.class_names, preprocessing(net), given))
    return manifest


def less_robust(files, robust):
    """Warnings about files that lose robust accuracy against the net's, `robust`."""
    return [
        f"{file.format} loses {robust - file.robust_accuracy:.1%} of robust accuracy against the net"
        for file in files
        if robust - file.robust_accuracy > LOST
    ]


def larger(files):
    """Warnings about files of the compact net that are larger than those of the net itself in the same format."""
    plain = {FORMATS[file.format].address: file for file in files if not FORMATS[file.format].compact}
    pairs = [(file, plain.get(FORMATS[file.format].address)) for file in files if FORMATS[file.format].compact]
    return [
        f"{file.format} is larger than {other.format} ({file.bytes:,} against {other.bytes:,} bytes): few channels are"
        " unused"
        for file, other in pairs
        if other and file.bytes > other.bytes
    ]


def export_net(net, path, name, images):
    """Writes `net` in the format `name` to the file `path`, once it agrees with `net` on `images` in every installed
    runtime; returns the agreements as a tuple of Compared.

    Args:
      images: float32 [N, H, W, C] in [0, 1]; the first REPRESENTATIVE of them determine the ranges of int8.

    Raises Refusal where it cannot be converted or does not agree; an earlier file at `path` then stays.
    """
    compared = []

    def write_checked(partial):
        source = shipped = net
        if FORMATS[name].compact:
            source = compact(net)
            shipped = columns_as_channels(source)
        partial.write_bytes(converted(configured(shipped, name, images[:REPRESENTATIVE])))
        logits = mapped(inference(net), images)
        for runtime in tflite.installed_runtimes():
            _, agreed = compare(partial, name, runtime.split()[0], images, logits)
            compared.append(Compared(runtime=runtime, **agreed))

    try:
        replace(path, write_checked)
    except (*FAILURES, OSError) as error:
        few = FORMATS[name].ranges and len(images) < REPRESENTATIVE
        hint = (
            f" (its ranges come from {number_of(len(images), 'image')}; up to {REPRESENTATIVE} are used)" if few else ""
        )
        raise Refusal(
            f"{path}: expected a file of format {name} that agrees with the net on the images; got none:"
            f" {in_one_line(error)}{hint}"
        ) from error
    return tuple(compared)


def preprocessing(net):
    """The input that a file expects, in words."""
    return {
        "image_shape": net.input_shape[1:],
        "layout": "height, width, channels",
        "pixels": "float32 in [0, 1]: 8-bit values divided by 255; int8 files expect round(x / scale) + zero_point",
        "normalisation": "inside the file",
        "scores": "logits, one per class, in the order of labels.txt",
    }


def current(config):
    """The Manifest of an earlier export of this net. None where there is none, or where a file or the net differs."""
    run = RunDirectory.open(config.workdir)
    path = run.export / "manifest.json"
    if not path.exists():
        return None
    manifest = read(path, Manifest)
    digests = {run.export / file.file: file.sha256 for file in manifest.files} | {run.net_path: manifest.model_sha256}
    same = all(file.exists() and digest(file) == expected for file, expected in digests.items())
    return manifest if same else None


def covers(manifest, config):
    """Whether an export with these flags would write the same files and the same comparison."""
    attack, attacked = manifest.attack, min(config.attack_images, manifest.num_images)
    return (
        set(config.formats) <= {each.format for each in (*manifest.files, *manifest.left_out)}
        and (attack.steps, attack.seed, attack.num_images) == (config.steps, config.seed, attacked)
        and config.num_images in (None, manifest.num_images)
    )


def extended(config, manifest):
    """`config` with the formats in `manifest` too, so that an export keeps their files."""
    wanted = {*config.formats, *(file.format for file in manifest.files)}
    return dataclasses.replace(config, formats=tuple(name for name in FORMATS if name in wanted))


def sources(run, net, compacts):
    """({whether compact: (net, the equivalent net that is converted)}, why there is no compact one or "")."""
    found = {False: (net, net)}
    if not compacts:
        return found, ""
    try:
        smaller = compact(compactable(run, net))
    except ValueError as error:
        return found, in_one_line(error)
    return found | {True: (smaller, columns_as_channels(smaller))}, ""


def in_one_line(error):
    return " ".join(str(error).split())[:500]


def compactable(run, net):
    """The net for `compact`: an ATMC run's factorised one, as `compact` merges factors where that saves operations."""
    return atmc.halved(load_net(run.factorised_path)) if run.factorised_path.exists() else net


def size(net):
    """Parameters and multiply-adds of a net."""
    return {"parameters": net.count_params(), "multiply_adds": sum(multiply_adds(net).values())}


def adversarial_images(logits_fn, x, y, attack, config):
    """Adversarial images that PGD crafts on the Keras net from x, the first images, and their labels."""
    y = y[: len(x)]
    seeds = tf.constant(of_images(config.seed, range(len(x))))
    craft = tf.function(lambda x, y: pgd(logits_fn, x, y, seed=seeds, **attack))
    return craft(x, y).numpy(), y


def checked_file(path, name, source, images, y, logits, x_adv, y_adv):
    """The ExportedFile of a file, compared in every installed runtime; the accuracies are of the first runtime.

    source: the Keras net in the file, without the zeros that `columns_as_channels` adds.
    """
    content, compared, accuracies = path.read_bytes(), [], {}
    for runtime in tflite.installed_runtimes():
        scores, agreed = compare(path, name, runtime.split()[0], images, logits)
        compared.append(Compared(runtime=runtime, **agreed))
        if not accuracies:
            under_attack = tflite.scores(tflite.interpreter(path, runtime.split()[0]), x_adv)
            accuracies = {
                "clean_accuracy": float(np.mean(scores.argmax(-1) == y)),
                "robust_accuracy": float(np.mean(under_attack.argmax(-1) == y_adv)),
            }
            accuracies["robust_interval"] = interval(accuracies["robust_accuracy"], len(y_adv))
    return ExportedFile(
        file=f"model_{name}.tflite",
        format=name,
        bytes=len(content),
        gzip_bytes=len(gzip.compress(content, mtime=0)),
        sha256=digest(path),
        **accuracies,
        agreement=min(each.agreement for each in compared),
        max_abs_diff=max(each.max_abs_diff for each in compared),
        runtimes=tuple(compared),
        **size(source),
    )


def show(manifest, folder):
    """Prints the manifest as a table."""
    attack = manifest.attack
    certifies = any(file.certificate for file in manifest.files)
    table = Table(
        Column("format", no_wrap=True), "bytes", "gzip", "clean", "under PGD*", *["certified*"] * certifies, "agrees",
        "|diff|",
        title=f"{folder}: {number_of(manifest.num_images, 'test image')}",
        caption=f"* at {attack.norm} eps {attack.eps:g}, {number_of(attack.num_images, 'image')}; PGD of {attack.steps}"
        " steps on the Keras net" + "; certified from the file's bytes, for all kernels" * certifies,
    )  # fmt: skip
    for file in manifest.files:
        shares = [percent(file.clean_accuracy), percent(file.robust_accuracy, attack.num_images)]
        shares += [certified_share(file.certificate)] * certifies
        shares += [f"{file.agreement:.2%}", f"{file.max_abs_diff:.2g}"]
        table.add_row(file.format, f"{file.bytes:,}", f"{file.gzip_bytes:,}", *shares)
    console = screen(markup=False)
    console.print(table)
    smaller = next((file for file in manifest.files if FORMATS[file.format].compact), None)
    if smaller:
        console.print(
            f"compact: {smaller.parameters:,} of {manifest.parameters:,} parameters, {smaller.multiply_adds:,} of"
            f" {manifest.multiply_adds:,} multiply-adds",
            highlight=False,
        )
    for flag in manifest.flags:
        console.print(f"warning: {flag}", highlight=False, soft_wrap=True)
    show_left_out(manifest, [left.format for left in manifest.left_out])


def certified_share(certificate):
    """ "85.30% [83.0, 87.0]", or "no" where the file is not certified."""
    if certificate is None or certificate.certified is None:
        return "no"
    return percent(certificate.certified / certificate.num_images, certificate.num_images)


def show_left_out(manifest, formats):
    """Prints why some of `formats` were left out."""
    for left in manifest.left_out:
        if left.format in formats:
            screen(markup=False).print(f"left out: {left.format}: {left.reason}", highlight=False, soft_wrap=True)
