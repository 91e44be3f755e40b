"""Do zeros alone buy time? Latency of nets with random weights, dense and with 50 and 10 % of them (thesis, table 4.7).

Writes .tflite files of each net, with zeros stored as numbers and as sparse tensors, and times them under both
protocols with batches of 1 and 100 images:

    bin/python benchmarks/zeros.py [--folder=DIR] [--nets=resnet34,mobilenet_v2]

A folder DIR/NET can also be timed on a device (export/benchmark_tflite.py) or in emulation (tests/arm/emulate DIR/NET).
"""

import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

NETS = flags.DEFINE_list("nets", ["resnet34", "mobilenet_v2"], "nets for 32x32 images, comma-separated")
FOLDER = flags.DEFINE_string("folder", None, "folder for the files and timings; default: a temporary one")
RUNS = flags.DEFINE_list("runs", ["100", "10"], "timed runs of each file with batches of 1 and of 100 images")
SHAPE, IMAGES, RATIOS = (32, 32, 3), 100, (1.0, 0.5, 0.1)


def write(name, folder):
    """Writes the files of a net, and random images."""
    import robust_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is imported)

    # isort: split
    import tf_keras as keras

    from robust_tf.export.formats import convert
    from robust_tf.models import MODELS
    from robust_tf.models.kernels import count, kernels
    from robust_tf.projections.irregular import irregular

    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    net = MODELS[name](SHAPE, 10)
    W = kernels(net)
    for ratio in RATIOS:
        for w, z in zip(W, irregular(W, round(ratio * count(W)))):
            w.assign(z)
        stem = "dense" if ratio == 1 else f"kept_{ratio:.0%}".rstrip("%")
        (folder / f"{stem}.tflite").write_bytes(convert(net, "float32"))
        if ratio < 1:
            (folder / f"{stem}_sparse.tflite").write_bytes(convert(net, "sparse"))
    images = np.random.default_rng(0).random((IMAGES, *SHAPE), np.float32)
    np.savez(folder / "sample.npz", images=images, labels=np.zeros(IMAGES, np.int64))


def rows(name, timings):
    """A row for each file: bytes, then milliseconds a batch and times as fast as the dense file."""
    found = {}
    for timing in timings:
        found.setdefault((timing.file, timing.bytes), {})[timing.protocol, timing.batch] = timing.median_ms
    dense = next(times for (file, _), times in found.items() if file == "dense.tflite")
    for (file, size), times in found.items():
        cells = [
            f"{times[key]:.2f} ({dense[key] / times[key]:.2f})"
            for key in (("memory", 1), ("loading", 1), ("memory", IMAGES), ("loading", IMAGES))
        ]
        yield f"| {name} | {file.removesuffix('.tflite')} | {size:,} | " + " | ".join(cells) + " |"


def main(_):
    folder = Path(FOLDER.value or tempfile.mkdtemp())
    for name in NETS.value:
        write(name, folder / name)

    from robust_tf.export import benchmark_tflite
    from robust_tf.records.benchmark import Timings
    from robust_tf.records.record import read

    for name in NETS.value:
        for batch, runs in zip((1, IMAGES), RUNS.value):
            json = f"--json={folder / name}.json"
            benchmark_tflite.main([str(folder / name), f"--batch={batch}", f"--runs={runs}", "--warmup=10", json])
    heads = [f"{protocol}, N = {batch}" for batch in (1, IMAGES) for protocol in ("memory", "loading")]
    print("\nms a batch, median; in brackets times as fast as the dense file")
    print("| net | file | bytes | " + " | ".join(heads) + " |\n" + "|---" * 7 + "|")
    for name in NETS.value:
        print("\n".join(rows(name, read(folder / f"{name}.json", Timings).timings)))


if __name__ == "__main__":
    app.run(main)
