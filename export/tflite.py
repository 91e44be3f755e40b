"""Keras net -> .tflite files, each loaded back, run and compared with the net before it may ship."""

import gzip
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Column, Table

from export.bundle import bundle
from export.columns import columns_as_channels
from export.compact import compact
from export.formats import FORMATS, convert
from robust_tf import rundir
from robust_tf.attacks.pgd import pgd
from robust_tf.compression import atmc
from robust_tf.evaluation import tflite
from robust_tf.evaluation.accuracy import inference
from robust_tf.evaluation.subject import load_trained
from robust_tf.models.kernels import multiply_adds
from robust_tf.models.load import load_net
from robust_tf.refusal import Refusal
from robust_tf.terminal import progress_bar

REPRESENTATIVE = 200  # training images that set the ranges of int8
SAMPLE = 100  # test images that travel with the files, for the benchmark on the device
LOST = 0.02  # robust accuracy that a file may lose against the net before it is flagged


def compare(path, name, runtime, images, logits):
    """Runs the file in `runtime` on images and compares its scores with the Keras net's logits [N, K].

    Returns:
      scores [N, K] and a dict of agreement and max_abs_diff. Raises ValueError where they miss what `name` demands.
    """
    scores = tflite.scores(tflite.interpreter(path, runtime), images)
    agreement = float(np.mean(scores.argmax(-1) == logits.argmax(-1)))
    difference = float(np.abs(scores - logits).max())
    demanded = FORMATS[name]
    largest = demanded.tolerance * float(np.abs(logits).max())
    if not (agreement >= demanded.agreement and difference <= largest):
        raise ValueError(
            f"in {runtime}: expected agreement >= {demanded.agreement} and logit differences <= {largest:.3g};"
            f" got {agreement:.4f} and {difference:.3g}"
        )
    return scores, {"agreement": agreement, "max_abs_diff": difference}


def export(config):
    """Writes WORKDIR/export/: the files that agree with the net, manifest.json, sample.npz; returns the manifest."""
    net, trained_as, dataset, data_dir = load_trained(config)
    images, labels = dataset.load("test", data_dir)
    x, y = images[: config.num_images].astype(np.float32) / 255, labels[: config.num_images]
    representative = dataset.load("train", data_dir)[0][:REPRESENTATIVE].astype(np.float32) / 255
    folder = rundir.subfolder(config.workdir, "export")
    logits_fn = inference(net)
    logits = in_batches(logits_fn, x)
    attack = {"eps": trained_as["eps"], "norm": trained_as["norm"], "steps": config.steps}
    x_adv, y_adv = attacked(logits_fn, x, y, attack, config)

    rundir.write_arrays(folder / "sample.npz", images=x[:SAMPLE], labels=y[:SAMPLE])
    files, left_out, smaller = [], [], None
    with progress_bar() as progress:
        task = progress.add_task("exporting", total=len(config.formats), unit="formats")
        for name in config.formats:
            partial = folder / f".{name}.partial"
            try:
                if FORMATS[name].compact:
                    smaller = smaller or compact(compactable(config.workdir, net))
                shipped = smaller if FORMATS[name].compact else net
                arranged = columns_as_channels(smaller) if FORMATS[name].compact else net
                partial.write_bytes(convert(arranged, name, representative))
                files.append(proven(partial, name, x, y, logits, x_adv, y_adv) | size(shipped))
                partial.replace(folder / files[-1]["file"])
            except Exception as error:  # the converter and the runtimes raise types of their own
                left_out.append({"format": name, "reason": " ".join(str(error).split())[:500]})
                partial.unlink(missing_ok=True)
            progress.advance(task)
    if not files:
        raise Refusal(f"expected at least one format to agree with the net; got none: {left_out[0]['reason']}")
    earlier = [path for path in folder.glob("*.tflite") if path.name not in [row["file"] for row in files]]
    for path in [*earlier, folder / "bundle.tar.gz"]:  # of an earlier export, perhaps of another net
        path.unlink(missing_ok=True)
    robust = float(np.mean(in_batches(logits_fn, x_adv).argmax(-1) == y_adv))
    manifest = {
        "files": files,
        "class_names": dataset.class_names,
        **size(net),
        "model_sha256": rundir.digest(Path(config.workdir) / "model.keras"),
        "left_out": left_out,
        "num_images": len(x),
        "keras_clean_accuracy": float(np.mean(logits.argmax(-1) == y)),
        "attack": {"name": "pgd on the Keras net", **attack, "seed": config.seed, "num_images": len(x_adv)},
        "keras_robust_accuracy": robust,
        "flags": [
            f"{row['format']} loses {robust - row['robust_accuracy']:.1%} of robust accuracy against the net"
            for row in files
            if robust - row["robust_accuracy"] > LOST
        ],
    }
    rundir.write_json(folder / "manifest.json", manifest)
    show(manifest, folder)
    if config.bundle:
        print(bundle(folder, Path(config.workdir).resolve().name, dataset.class_names, preprocessing(net)))
    return manifest


def preprocessing(net):
    """What a file expects of an image."""
    return {
        "image_shape": net.input_shape[1:],
        "layout": "height, width, channels",
        "pixels": "float32 in [0, 1]: 8-bit values divided by 255; int8 files want round(x / scale) + zero_point",
        "normalisation": "inside the file",
        "scores": "logits, one a class, in the order of labels.txt",
    }


def current(config):
    """The manifest of an earlier export of this very net, None without one or where a file is not what it says."""
    path = Path(config.workdir) / "export" / "manifest.json"
    manifest = rundir.read_json(path) if path.exists() else {}
    if "files" not in manifest:
        return None
    digests = {path.parent / row["file"]: row.get("sha256") for row in manifest["files"]}
    digests[Path(config.workdir) / "model.keras"] = manifest.get("model_sha256")
    return (
        manifest if all(file.exists() and rundir.digest(file) == digest for file, digest in digests.items()) else None
    )


def compactable(workdir, net):
    """What `compact` starts from: of ATMC's run the factors, of which it multiplies out those that do not pay."""
    path = Path(workdir) / "factorised.keras"
    return atmc.halved(load_net(path)) if path.exists() else net


def size(net):
    """Parameters and multiply-adds of a net: what compaction makes smaller, without the zeros that columns add."""
    return {"parameters": net.count_params(), "multiply_adds": sum(multiply_adds(net).values())}


def in_batches(function, x, batch_size=500):
    """function over images [N, ...] in batches, as one array."""
    return np.concatenate([function(x[start : start + batch_size]) for start in range(0, len(x), batch_size)])


def attacked(logits_fn, x, y, attack, config):
    """PGD examples of the Keras net for the first images, and their labels."""
    x, y = x[: config.attack_images], y[: config.attack_images]
    craft = tf.function(lambda x, y: pgd(logits_fn, x, y, seed=(config.seed, 0), **attack))
    return craft(x, y).numpy(), y


def proven(path, name, x, y, logits, x_adv, y_adv):
    """The manifest's record of a file, compared in every installed runtime; accuracies are of the first of them."""
    content = path.read_bytes()
    record = {
        "file": f"model_{name}.tflite",
        "format": name,
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, mtime=0)),
        "sha256": rundir.digest(path),
    }
    runtimes = tflite.installed_runtimes()
    compared = []
    for runtime in runtimes:
        scores, agreed = compare(path, name, runtime.split()[0], x, logits)
        compared.append({"runtime": runtime, **agreed})
        if runtime == runtimes[0]:
            record["clean_accuracy"] = float(np.mean(scores.argmax(-1) == y))
            under_attack = tflite.scores(tflite.interpreter(path, runtime.split()[0]), x_adv)
            record["robust_accuracy"] = float(np.mean(under_attack.argmax(-1) == y_adv))
    record["agreement"] = min(each["agreement"] for each in compared)
    record["max_abs_diff"] = max(each["max_abs_diff"] for each in compared)
    record["runtimes"] = compared
    return record


def show(manifest, folder):
    """Prints the manifest as a table."""
    attack = manifest["attack"]
    table = Table(
        Column("format", no_wrap=True), "bytes", "gzip", "clean", "under PGD*", "agrees", "|diff|",
        title=f"{folder}: {manifest['num_images']:,} test images",
        caption=f"* examples of the Keras net, {attack['norm']} eps {attack['eps']:g}, {attack['steps']} steps,"
        f" {attack['num_images']:,} images",
    )  # fmt: skip
    for row in manifest["files"]:
        numbers = [f"{row[key]:,}" for key in ("bytes", "gzip_bytes")]
        fractions = [f"{row[key]:.2%}" for key in ("clean_accuracy", "robust_accuracy", "agreement")]
        table.add_row(row["format"], *numbers, *fractions, f"{row['max_abs_diff']:.2g}")
    console = Console(markup=False)
    console.print(table)
    smaller = next((row for row in manifest["files"] if FORMATS[row["format"]].compact), None)
    if smaller:
        counts = [f"{smaller[key]:,} of {manifest[key]:,}" for key in ("parameters", "multiply_adds")]
        console.print("compact: {} parameters, {} multiply-adds".format(*counts), highlight=False)
    for flag in manifest["flags"]:
        console.print(f"warning: {flag}", highlight=False, soft_wrap=True)
    for row in manifest["left_out"]:
        console.print(f"left out: {row['format']}: {row['reason']}", highlight=False, soft_wrap=True)
