"""Keras net -> .tflite files, each loaded back and compared with the net before it may ship.

float32   weights and arithmetic in 32-bit floats
float16   weights in 16-bit floats: half the bytes
int8      weights, activations, input and output in 8-bit integers, their ranges from training images
sparse    float32; kernels of at least 30 % zeros are stored as indices and values
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from robust_tf import rundir
from robust_tf.attacks.pgd import pgd
from robust_tf.evaluation import tflite
from robust_tf.evaluation.accuracy import inference
from robust_tf.evaluation.subject import load_trained
from robust_tf.refusal import Refusal
from robust_tf.terminal import progress_bar, quiet

REPRESENTATIVE = 200  # training images that set the ranges of int8
SAMPLE = 100  # test images that travel with the files, for the benchmark on the device


def float32(converter, representative):
    pass


def float16(converter, representative):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def int8(converter, representative):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in representative)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8


def sparse(converter, representative):
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]


@dataclass(frozen=True)
class Format:
    """How a converter is set up, and what the file must reach to ship.

    agreement: least fraction of images with the class that the Keras net predicts.
    tolerance: largest |logit difference| relative to the largest |logit|.
    """

    configure: callable
    agreement: float
    tolerance: float


FORMATS = {
    "float32": Format(float32, agreement=0.999, tolerance=1e-4),
    "float16": Format(float16, agreement=0.99, tolerance=1e-2),
    "int8": Format(int8, agreement=0.95, tolerance=0.2),
    "sparse": Format(sparse, agreement=0.999, tolerance=1e-4),
}


def convert(net, name, representative=()):
    """The bytes of `net` in format `name`; representative: float32 images [N, H, W, C], for int8.

    The net is handed over as one function of its variables: as a Keras model it would be traced layer by layer, which
    takes a deep one five times as long.
    """
    owner = tf.Module()
    owner.weights = net.variables
    image = tf.TensorSpec((None, *net.input_shape[1:]), name="image")
    function = tf.function(lambda x: net(x, training=False)).get_concrete_function(image)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], owner)
    FORMATS[name].configure(converter, representative)
    with quiet():
        return converter.convert()


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

    np.savez_compressed(folder / "sample.npz", images=x[:SAMPLE], labels=y[:SAMPLE])
    files, left_out = [], []
    with progress_bar() as progress:
        task = progress.add_task("exporting", total=len(config.formats), unit="formats")
        for name in config.formats:
            partial = folder / f".{name}.partial"
            try:
                partial.write_bytes(convert(net, name, representative))
                files.append(proven(partial, name, x, y, logits, x_adv, y_adv))
                partial.replace(folder / files[-1]["file"])
            except Exception as error:  # the converter and the runtimes raise types of their own
                left_out.append({"format": name, "reason": " ".join(str(error).split())[:500]})
                partial.unlink(missing_ok=True)
            progress.advance(task)
    for path in folder.glob("*.tflite"):  # of an earlier export, perhaps of another net
        if path.name not in [row["file"] for row in files]:
            path.unlink()
    manifest = {
        "files": files,
        "model_sha256": rundir.digest(Path(config.workdir) / "model.keras"),
        "left_out": left_out,
        "num_images": len(x),
        "keras_clean_accuracy": float(np.mean(logits.argmax(-1) == y)),
        "attack": {"name": "pgd on the Keras net", **attack, "seed": config.seed, "num_images": len(x_adv)},
        "keras_robust_accuracy": float(np.mean(in_batches(logits_fn, x_adv).argmax(-1) == y_adv)),
    }
    rundir.write_json(folder / "manifest.json", manifest)
    show(manifest, folder)
    if not files:
        raise Refusal(f"expected at least one format to agree with the net; got none: {left_out[0]['reason']}")
    return manifest


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
        "format", "bytes", "gzip", "clean", "under PGD*", "agrees", "max |diff|",
        title=f"{folder}: {manifest['num_images']:,} test images",
        caption=f"* examples of the Keras net, {attack['norm']} eps {attack['eps']:g}, {attack['steps']} steps,"
        f" {attack['num_images']:,} images",
    )  # fmt: skip
    for row in manifest["files"]:
        table.add_row(
            row["format"], f"{row['bytes']:,}", f"{row['gzip_bytes']:,}", f"{row['clean_accuracy']:.2%}",
            f"{row['robust_accuracy']:.2%}", f"{row['agreement']:.2%}", f"{row['max_abs_diff']:.2g}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    for row in manifest["left_out"]:
        console.print(f"left out: {row['format']}: {row['reason']}", highlight=False, soft_wrap=True)
