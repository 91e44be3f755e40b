"""imported.json: the file from which a run's net was imported, and what was found out about it."""

from dataclasses import dataclass

from robust_tf.records.record import Count, Positive, Share


@dataclass(frozen=True, kw_only=True)
class Imported:
    """file, sha256: what --model named. keras: version of the Keras that wrote it. difference: largest difference
    between the logits of its net and the converted net on random images, relative to the largest. input_scaling: the
    pixels that it expects; accuracies: {scaling: accuracy on num_images training images} of those that were tried.
    labels: names of its outputs, None if not given. new_last_layer: whether its last layer was replaced, for other
    classes. frozen: names of its layers that are frozen in the file.
    """

    file: str
    sha256: str
    keras: Positive
    difference: float
    input_scaling: str
    accuracies: dict[str, Share]
    num_images: Count
    labels: tuple[str, ...] | None = None
    new_last_layer: bool
    frozen: tuple[str, ...]
