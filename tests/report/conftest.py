"""A run directory with all parts, of invented numbers."""

import numpy as np
import pytest
import tf_keras as keras

from robust_tf.config import TrainConfig, parse
from robust_tf.rundir import as_json, write_json

ROW = {
    "epoch": 0, "stage": "dense", "eps": 0.1, "steps": 3, "learning_rate": 0.1, "accuracy": 0.5, "robust_accuracy": 0.4,
    "val_accuracy": 0.6, "val_robust_accuracy": 0.3, "clean_loss": 2.0, "adversarial_loss": 3.0,
}  # fmt: skip


def record(mode, **more):
    common = {"mode": mode, "norm": "linf", "eps": 0.1, "num_images": 9, "clean_accuracy": 0.9, "flags": ["odd <sign>"]}
    return {**common, **more}


EVALUATIONS = {
    "attacks": record(
        "attacks", attacks=["autoattack"], robust_accuracy=0.5, per_attack={"apgd_ce": 0.6, "square": 0.5}
    ),
    "curve": record("curve", curve=[{"eps": 0.1, "accuracy": 0.5}]),
    "transfer": record("transfer", matrix={"itself": [0.5], "runs/b": [0.7]}, radii=[0.1]),
    "ensemble": record("ensemble", natural="n", not_adaptive=0.8, adaptive=0.4, robust_accuracy=0.4),
    "minimal": record("minimal", least_radii=[0.1, 0.2, None]),
    "tflite": record("tflite", files={"model_int8.tflite": {"robust_accuracy": 0.4}}),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run directory with all parts, of invented numbers."""
    folder = tmp_path_factory.mktemp("runs") / "a"
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(3, name="logits")])
    (folder / "export").mkdir(parents=True)
    net.save(folder / "model.keras")
    write_json(folder / "config.json", as_json(parse(TrainConfig, ["--eps=0.1", "--method=da"])))
    layer = {"layer": "logits", "kernels": 108, "nonzero": 54, "rank": 3}
    summary = {"method": "da", "ratio": 0.5, "kernels_nonzero": 54, "layers": [layer], "class_names": ["x", "y", "z"]}
    write_json(folder / "summary.json", summary)
    rows = [ROW, {**ROW, "epoch": 1, "eps": 0.2, "primal_residual": 1.0, "rho": 0.1, "k": 50}]
    names = list(rows[1])
    lines = [",".join(str(row.get(name, "")) for name in names) for row in rows]
    (folder / "history.csv").write_text("\n".join([",".join(names), *lines]))
    for name, each in EVALUATIONS.items():
        write_json(folder / "evaluation" / f"{name}.json", each)
    files = [
        {"format": name, "bytes": 900, "gzip_bytes": 500, "clean_accuracy": 0.9, "parameters": 9, "multiply_adds": 99}
        for name in ("float32", "compact")
    ]
    write_json(folder / "export" / "manifest.json", {"files": files, "parameters": 20, "multiply_adds": 200})
    timed = {
        "file": "model_float32.tflite", "protocol": "memory", "device": "a board", "runtime": "r", "version": "1",
        "threads": 1, "median_ms": 0.5, "p90_ms": 0.6, "delegate": "none",
    }  # fmt: skip
    write_json(folder / "export" / "benchmark.json", [timed])
    images = np.random.default_rng(0).random((4, 6, 6, 1), np.float32)
    np.savez(folder / "export" / "sample.npz", images=images, labels=np.array([0, 1, 2, 0]))
    return folder
