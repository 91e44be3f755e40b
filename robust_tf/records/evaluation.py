"""evaluation/*.json: what an evaluation measured, one class for each mode of bin/evaluate.

Fields that are flags of bin/evaluate (eps, steps, attacks, ...) hold the settings that were used; None for a flag that
does not apply to the attacks. Accuracies are fractions of all num_images test images.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from robust_tf.records.manifest import Certificate
from robust_tf.records.record import Count, Positive, Seconds, Share


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Fields of every mode's record.

    norm: of the attacks' ball. num_images: number of test images, the first of the split. model_sha256: of the net.
    clean_accuracy: without attack. guess: why the net is no better than a guess without attack, None if it is better.
    flags: signs that accuracies may be too high. seconds: of the attacks. certified_accuracy: proven by interval bounds
    within certified_eps; None if the bounds do not support the net, or do not bound what the mode measures. intervals:
    the 95 % interval of each accuracy, see `records.interval`. on_margin: attacks that ascended the margin, as the net
    has too few classes for their ratio of logits.
    """

    mode: str
    norm: str
    seed: int
    num_images: Positive
    model_sha256: str
    clean_accuracy: Share
    guess: str | None = None
    flags: tuple[str, ...] = ()
    seconds: Seconds = 0.0
    certified_eps: float | None = None
    certified_accuracy: Share | None = None
    intervals: dict[str, tuple[Share, Share]] = field(default_factory=dict)
    on_margin: tuple[str, ...] = ()
    further: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Attacks(Evaluation):
    """per_attack: accuracy under each attack, or in AutoAttack after each. robust_accuracy: under the worst attack for
    each image. broken_by: in AutoAttack, for each image the first attack that succeeded; "clean" if the image is
    misclassified without attack, None if no attack succeeded. not_attacked: number of certified images that no attack
    saw, as none can break them; None if all were attacked. sample: numbers of the test images where they were drawn at
    random, in that order, which is also that of broken_by; None for the first num_images."""

    attacks: tuple[str, ...]
    version: str | None = None
    individual: bool | None = None
    eps: float
    steps: int | None = None
    alpha: float | None = None
    restarts: int | None = None
    queries: int | None = None
    margin: float | None = None
    time_limit: float | None = None
    sample: tuple[Count, ...] | None = None
    robust_accuracy: Share
    per_attack: dict[str, Share]
    per_attack_seconds: dict[str, Seconds]
    broken_by: tuple[str | None, ...] | None = None
    not_attacked: Count | None = None


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """not_attacked: number of certified images that no attack saw; None if all were attacked."""

    eps: float
    accuracy: Share
    not_attacked: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Curve(Evaluation):
    """curve: accuracy under PGD at increasing radii, until it is below `chance`."""

    radii: tuple[float, ...]
    steps: int
    restarts: int
    chance: Share
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True, kw_only=True)
class Transfer(Evaluation):
    """Adversarial images crafted on this run's net, classified by several nets. clean_accuracies, without attack, and
    matrix, at each of the radii: by the net's run, "itself" for this net."""

    targets: tuple[str, ...]
    radii: tuple[float, ...]
    steps: int
    restarts: int
    clean_accuracies: dict[str, Share]
    matrix: dict[str, tuple[Share, ...]]


@dataclass(frozen=True, kw_only=True)
class CraftedOn:
    """Accuracy of the ensemble on adversarial images crafted on its natural net, on its robust net, and on itself."""

    natural: Share
    robust: Share
    ensemble: Share


@dataclass(frozen=True, kw_only=True)
class Ensemble(Evaluation):
    """The mean of a natural and a robust net's probabilities. robust_accuracy: under the worst of the three attacks
    for each image."""

    VERSION: ClassVar[int] = 2

    natural: str
    eps: float
    steps: int
    alpha: float
    restarts: int
    crafted_on: CraftedOn
    crafted_on_by_cw: CraftedOn | None = None
    robust_accuracy: Share

    @staticmethod
    def upgraded(values, version):
        """Version 1 had other names for the three nets of crafted_on."""
        words = {"the natural net": "natural", "the robust net": "robust", "the ensemble": "ensemble"}
        on = values.get("crafted_on")
        return values | ({"crafted_on": {words.get(k, k): v for k, v in on.items()}} if isinstance(on, dict) else {})


@dataclass(frozen=True, kw_only=True)
class Minimal(Evaluation):
    """The smallest radius found that fools the net, for each image.

    least_radii: 0 if the image is misclassified without attack, None if no radius fools the net. fooled: share of
    images that fool the net at some radius. quantiles: "50%" -> the radius at which that share fools the net, None if
    it is beyond the radii. images: name of the .npz file with the adversarial images, beside this record. not_attacked:
    at each of the radii, the number of certified images that were not attacked there; None if all were.
    """

    radii: tuple[float, ...]
    steps: int
    restarts: int
    bisections: int
    fooled: Share
    least_radii: tuple[float | None, ...]
    quantiles: dict[str, float | None]
    images: str
    not_attacked: tuple[Count, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Generalise(Evaluation):
    """FGSM, IFGSM and WRM side by side: accuracy under each, and the mean length of its perturbations in two norms."""

    eps: float
    steps: int
    alpha: float
    loss_weight: float
    deviation: float
    wrm_steps: int
    per_attack: dict[str, Share]
    mean_linf: dict[str, float]
    mean_l2: dict[str, float]
    per_attack_seconds: dict[str, Seconds]


@dataclass(frozen=True, kw_only=True)
class QuantisedNet:
    """not_attacked: number of certified images that no attack saw; None if all were attacked."""

    kernels_nonzero: Count
    clean_accuracy: Share
    robust_accuracy: Share
    per_attack: dict[str, Share]
    seconds: Seconds
    not_attacked: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Quantised(Evaluation):
    """The net with 8-bit kernels, by quantiser; "float32" is the net without quantisation."""

    attacks: tuple[str, ...]
    eps: float
    steps: int | None = None
    alpha: float | None = None
    restarts: int | None = None
    queries: int | None = None
    nets: dict[str, QuantisedNet]


@dataclass(frozen=True, kw_only=True)
class FileOutcome:
    """Accuracies of one file after each attack of a sequence; fields as in `Attacks`."""

    clean_accuracy: Share
    robust_accuracy: Share
    per_attack: dict[str, Share]
    per_attack_seconds: dict[str, Seconds]
    seconds: Seconds
    broken_by: tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class Tflite(Evaluation):
    """The exported files themselves, by name; clean_accuracy and robust_accuracy are of the least robust file."""

    file: str | None = None
    eps: float
    steps: int
    alpha: float
    restarts: int
    queries: int
    robust_accuracy: Share
    files: dict[str, FileOutcome]


@dataclass(frozen=True, kw_only=True)
class CertifiedFile:
    """correct: images that the runtime classifies correctly. outside: images with a score outside the bounds at eps 0,
    of the runtime or, among the first of them, of another family of its kernels; above 0 the bounds do not hold."""

    sha256: str
    bytes: Positive
    correct: Count
    outside: Count
    certificate: Certificate


@dataclass(frozen=True, kw_only=True)
class Certify(Evaluation):
    """The exported files, by name, certified from their bytes. clean_accuracy: of the file with the least.
    certified_accuracy is that of the net."""

    file: str | None = None
    eps: float
    files: dict[str, CertifiedFile]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of pictures: its title, and the predicted class of each picture; None for a row without predictions."""

    title: str
    classes: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Pictures(Evaluation):
    """The first test images: perturbed by PGD at increasing radii and at the smallest radius that fools the net, and
    saliency maps.

    labels: of the images. class_names: of all classes. least_radii: the smallest radius that fools the net, None if
    none does. images: name of the .npz file beside this record, uint8 [rows, N, H, W, C]. rows: its rows, in order.
    attacked, fooling, maps: indices of the rows with attacks, smallest perturbations, and saliency maps.
    """

    eps: float
    steps: int
    labels: tuple[int, ...]
    class_names: tuple[str, ...]
    least_radii: tuple[float | None, ...]
    rows: tuple[Row, ...]
    attacked: tuple[int, ...]
    fooling: tuple[int, ...]
    maps: tuple[int, ...]
    images: str


@dataclass(frozen=True, kw_only=True)
class Usefulness(Evaluation):
    """Correlation of each feature of the last hidden layer with the class that it indicates best, on clean images and
    under PGD (thesis, appendix A)."""

    eps: float
    steps: int
    usefulness: tuple[float, ...]
    robust_usefulness: tuple[float, ...]
