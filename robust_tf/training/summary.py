"""The summary of a trained net: counts and ranks of its kernels, accuracies on held-out images."""

import numpy as np

from robust_tf.certification.certified import certified
from robust_tf.data.pipeline import batches
from robust_tf.models.guess import guess
from robust_tf.models.kernels import kernel_layers, kernel_of
from robust_tf.projections.filters import matrix
from robust_tf.records.summary import Layer, Summary
from robust_tf.training.methods import METHODS
from robust_tf.training.model import RobustModel
from robust_tf.training.projection import depthwise


def summarise(config, dataset, run, net, N, factors, held_out):
    """The Summary.

    Args:
      config: TrainConfig.
      dataset: DataSet.
      run: RunDirectory, for its history.
      net: the net that ships.
      N: kernel weights of the dense net.
      factors: None, or ATMC's report of its factors.
      held_out: (images, labels) of held-out training images.
    """
    model = RobustModel(net, eps=config.eps, norm=config.norm, seed=config.seed)
    model.compile()
    measured = model.evaluate(batches(*held_out, 500), verbose=0, return_dict=True)
    predicted = net.predict(batches(*held_out, 500), verbose=0).argmax(-1)
    proven = certified(net, *held_out, config.eps, config.norm)
    layers, history, method = describe(net), run.history(), METHODS[config.method]
    nonzero = sum(layer.nonzero for layer in layers)
    return Summary(
        dataset=config.dataset,
        model=config.model,
        method=config.method,
        projection=config.projection if method.projects else None,
        kernels_total=N,
        kernels_nonzero=nonzero,
        ratio=nonzero / N,
        ratio_asked=config.ratio if method.compresses else None,
        factors=factors,
        eps=config.eps,
        accuracies_on="held-out training images",
        num_images=len(held_out[0]),
        clean_accuracy=float(measured["accuracy"]),
        pgd_accuracy=float(measured["robust_accuracy"]),
        pgd_steps=model.validation_attack["steps"],
        certified_accuracy=None if proven is None else float(proven.mean()),
        guess=guess(predicted, held_out[1]),
        seed=config.seed,
        epochs=config.epochs,
        epochs_trained=len(history),
        seconds=round(sum(row.seconds for row in history), 1),
        class_names=tuple(dataset.class_names),
        layers=layers,
    )


def describe(net):
    """A Layer for each layer with a kernel."""
    layers = []
    for i, layer in enumerate(kernel_layers(net)):
        w = kernel_of(layer).numpy()
        nonzero = int(np.count_nonzero(w))
        columns = matrix(w.reshape(*w.shape[:2], 1, -1) if i in depthwise(net) else w)  # [inputs, outputs]
        layers.append(
            Layer(
                layer=layer.name,
                kernels=w.size,
                nonzero=nonzero,
                kept=nonzero / w.size,
                rank=int(np.linalg.matrix_rank(columns)),
                outputs=columns.shape[1],
                dead_filters=int((~columns.any(axis=0)).sum()),
            )
        )
    return tuple(layers)
