"""export/manifest.json: the files of an export, and how each was compared with the net."""

from dataclasses import dataclass

from robust_tf.records.record import Count, Interval, Positive, Seconds, Share


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A file's scores in one runtime against the net's logits: share of images with equal class, largest difference."""

    runtime: str
    agreement: Share
    max_abs_diff: float


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The number of test images that a file provably classifies correctly, on all kernels that it may run on.

    certified: for every image within eps (L-inf), with the 95 % interval of its share. certified_clean: without attack.
    They are None where the file is not certified; `reason` then says why. families: int8 kernels whose rounding the
    bounds cover. runtime, cpu: what computed the scores that were compared with the bounds. seconds: of the bounds.
    """

    eps: float
    num_images: Positive
    certified: Count | None = None
    interval: Interval | None = None
    certified_clean: Count | None = None
    reason: str | None = None
    families: tuple[str, ...] = ()
    runtime: str = ""
    cpu: str = ""
    seconds: Seconds


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """A file that ships. Accuracies are measured in the first runtime; robust_accuracy: under the manifest's attack,
    with its 95 % interval.

    parameters, multiply_adds: of the net in the file, without zeros that a change of layout adds. certificate: at the
    radius of that attack; None where interval bounds do not support the net or the norm.
    """

    file: str
    format: str
    bytes: Positive
    gzip_bytes: Positive
    sha256: str | None = None
    clean_accuracy: Share
    robust_accuracy: Share
    robust_interval: Interval | None = None
    agreement: Share
    max_abs_diff: float
    runtimes: tuple[Compared, ...]
    parameters: Count
    multiply_adds: Count
    certificate: Certificate | None = None


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A format whose file does not ship, and why."""

    format: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TransferAttack:
    """The attack on every file: adversarial images crafted on the Keras net."""

    name: str
    eps: float
    norm: str
    steps: Count
    seed: int
    num_images: Positive


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What was exported. parameters, multiply_adds, model_sha256 and keras_*: of the Keras net. num_images: number of
    test images on which the files were compared. flags: warnings about files that lose robust accuracy
    against the net, or are larger than without compaction."""

    files: tuple[ExportedFile, ...]
    class_names: tuple[str, ...]
    parameters: Count
    multiply_adds: Count
    model_sha256: str | None = None
    left_out: tuple[LeftOut, ...]
    num_images: Positive
    keras_clean_accuracy: Share
    attack: TransferAttack
    keras_robust_accuracy: Share
    keras_robust_interval: Interval | None = None
    flags: tuple[str, ...]
