"""summary.json: the result of a training run."""

from dataclasses import dataclass
from typing import ClassVar

from robust_tf.records.record import Count, Positive, Seconds, Share


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer with a kernel. kernels: number of its weights; nonzero: number of non-zero ones; kept: their quotient.
    rank: of its matrix [inputs, outputs]. dead_filters: number of outputs whose weights are all zero."""

    layer: str
    kernels: Positive
    nonzero: Count
    kept: Share
    rank: Count
    outputs: Positive
    dead_filters: Count


@dataclass(frozen=True, kw_only=True)
class FactorisedLayer:
    """Non-zeros of ATMC's factors of a layer, and the ranks of the paper's study (Gui et al., appendix B.2): rank_U,
    the number of non-zero columns of U', and rank_V, the number of non-zero rows of V, each at most full_rank. A layer
    that is not factorised has only W.
    """

    layer: str
    W: Count | None = None
    U: Count | None = None
    V: Count | None = None
    C: Count | None = None
    rank_U: Count | None = None
    rank_V: Count | None = None
    full_rank: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class Factors:
    """How ATMC's budget is spent. nonzero: of U', V and C; nonzero_literal: with the paper's I + U' in place of U'."""

    nonzero: Count
    nonzero_literal: Count
    layers: tuple[FactorisedLayer, ...]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The net that ships. Accuracies are of num_images held-out training images, never of test images.

    kernels_total: number of kernel weights of the dense net, N; kernels_nonzero: number of non-zero ones; ratio: their
    quotient; ratio_asked: --ratio, None if the method does not compress. pgd_accuracy: under PGD with pgd_steps
    gradient steps and radius eps. certified_accuracy: by interval bounds, None if they do not support the net. guess:
    why the net is no better than a guess, None if it is better. epochs: of the main stage; epochs_trained: of all
    stages. seconds: of training.
    """

    VERSION: ClassVar[int] = 3

    dataset: str
    model: str
    method: str
    projection: str | None = None
    kernels_total: Positive
    kernels_nonzero: Count
    ratio: Share
    ratio_asked: Share | None = None
    factors: Factors | None = None
    eps: float
    accuracies_on: str
    num_images: Positive
    clean_accuracy: Share
    pgd_accuracy: Share
    pgd_steps: Positive
    certified_accuracy: Share | None = None
    guess: str | None = None
    seed: int
    epochs: Positive
    epochs_trained: Count
    seconds: Seconds
    class_names: tuple[str, ...]
    layers: tuple[Layer, ...]

    @staticmethod
    def upgraded(values, version):
        """In version 1 the name of the method natural was normal; before version 3 that of full_rank was of."""
        factors = values.get("factors")
        layers = factors.get("layers") if isinstance(factors, dict) else None  # unchecked, so of any type
        for layer in layers if isinstance(layers, list) else ():
            if isinstance(layer, dict) and "of" in layer:
                layer["full_rank"] = layer.pop("of")
        return values | ({"method": "natural"} if values.get("method") == "normal" else {})
