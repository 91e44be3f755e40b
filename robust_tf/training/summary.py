"""What summary.json says of a trained net: counts and ranks from the net itself, accuracies from held-out images."""

import numpy as np

from robust_tf.config import COMPRESSING, PROJECTING
from robust_tf.data.pipeline import batches
from robust_tf.models.kernels import kernel_layers, kernel_of
from robust_tf.projections.filters import matrix
from robust_tf.training.constraint import depthwise
from robust_tf.training.history import rows
from robust_tf.training.model import RobustModel


def summary(config, dataset, workdir, net, N, factors, held_out):
    """The record.

    Args:
      config: TrainConfig.
      dataset: its DataSet.
      workdir: run directory, for history.csv.
      net: what ships.
      N: kernel weights of the dense net.
      factors: None, or ATMC's report of its factors.
      held_out: (images, labels) of held-out training images.
    """
    model = RobustModel(net, eps=config.eps, norm=config.norm, seed=config.seed)
    model.compile()
    measured = model.evaluate(batches(*held_out, 500), verbose=0, return_dict=True)
    layers = describe(net)
    nonzero = sum(layer["nonzero"] for layer in layers)
    history = rows(workdir / "history.csv")
    compressed = config.method in COMPRESSING
    return {
        "dataset": config.dataset,
        "model": config.model,
        "method": config.method,
        "projection": config.projection if config.method in PROJECTING else None,
        "kernels_total": N,
        "kernels_nonzero": nonzero,
        "ratio": nonzero / N,
        "ratio_asked": config.ratio if compressed else None,
        "factors": factors,
        "eps": config.eps,
        "accuracies_on": "held-out training images",
        "num_images": len(held_out[0]),
        "clean_accuracy": measured["accuracy"],
        "pgd_accuracy": measured["robust_accuracy"],
        "pgd_steps": 10,
        "certified_accuracy": measured.get("certified_accuracy"),
        "seed": config.seed,
        "epochs": config.epochs,
        "epochs_trained": len(history),
        "seconds": round(sum(float(row["seconds"]) for row in history), 1),
        "class_names": dataset.class_names,
        "layers": layers,
    }


def describe(net):
    """For each kernel layer: weights, non-zeros and their fraction, the matrix' rank, and filters that are all zero."""
    layers = []
    for i, layer in enumerate(kernel_layers(net)):
        w = kernel_of(layer).numpy()
        columns = matrix(w.reshape(*w.shape[:2], 1, -1) if i in depthwise(net) else w)  # [inputs, outputs]
        layers.append(
            {
                "layer": layer.name,
                "kernels": w.size,
                "nonzero": int(np.count_nonzero(w)),
                "kept": np.count_nonzero(w) / w.size,
                "rank": int(np.linalg.matrix_rank(columns)),
                "outputs": columns.shape[1],
                "dead_filters": int((~columns.any(axis=0)).sum()),
            }
        )
    return layers
