"""Robust and small convolutional nets: adversarial training, compression, evaluation, export.

Data flows one way; every stage writes plain files to one run directory:

    data -> models -> attacks -> projections -> compression -> training -> evaluation -> export

Notation, the same in every file:

    x, y                images [B, H, W, C] float32 in [0, 1]; labels [B] int64
    x_adv               adversarial images, in the eps-ball around x and in [0, 1]
    eps, alpha, steps   attack radius, step size (both in pixels of [0, 1]), gradient steps
    W, Z, U, rho        a kernel, its projection, its scaled dual, the ADMM penalty weight
    k, ratio            kernel weights kept; ratio = k / N, N = conv + dense weights of the dense net

Biases and batch-norm variables are never pruned and never counted. Every net returns logits.

A program uses the names of OFFERED; they are imported at their first use, and TensorFlow with them.
"""

import importlib
import os

# tensorflow-model-optimization works with Keras 2 only; this must be set before TensorFlow is imported.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow disables oneDNN's kernels on some CPUs where they are faster (benchmarks/onednn.py).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"

OFFERED = {
    # what to do, see api.py
    "train": "robust_tf.api",
    "compress": "robust_tf.api",
    "autoattack": "robust_tf.api",
    "certify": "robust_tf.api",
    "export_tflite": "robust_tf.api",
    "benchmark": "robust_tf.api",
    "RobustModel": "robust_tf.training.model",
    # what it raises
    "Refusal": "robust_tf.refusal",
    "TrainingFailed": "robust_tf.training.failure",
    # registries: what can be chosen by name
    "DATASETS": "robust_tf.data",
    "MODELS": "robust_tf.models",
    "PROJECTIONS": "robust_tf.projections",
    "METHODS": "robust_tf.training.methods",
    "LOSSES": "robust_tf.training",
    "FORMATS": "robust_tf.export",
}
__all__ = list(OFFERED)


def __getattr__(name):
    if name not in OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(OFFERED[name]), name)


def __dir__():
    return sorted([*globals(), *OFFERED])
