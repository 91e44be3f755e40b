"""Evaluation: accuracies of a trained net, or of its .tflite files, under attack.

An entry of MODES holds the facts of a mode of bin/evaluate that are needed before its code is imported. Its module has

    measure(subject, config, record_path)   -> its record, for a `subject.Subject` and a resolved EvaluateConfig; writes
                                            further files beside record_path
    show(record, console)                   prints the record
    FIGURES                                 functions [ReportedRun] -> figures of the report (see `drawing.figures`)
"""

from collections import ChainMap
from dataclasses import dataclass

from robust_tf.attacks import ATTACKS, NORMS, Attack
from robust_tf.registry import Entry


@dataclass(frozen=True, kw_only=True)
class Mode(Entry):
    """A mode of bin/evaluate.

    record: address of the class of its record, see `records.evaluation`.
    norms: norms of the attacks that it supports.
    certifies: whether the net's certified accuracy belongs to what it measures.
    probes: whether it looks for signs that the net misleads attacks.
    thirds: default number of radii, which are multiples of a third of the run's eps.
    images: default number of test images; None for all.
    """

    record: str
    norms: tuple = NORMS
    certifies: bool = False
    probes: bool = True
    thirds: int = 0
    images: int | None = None

    @property
    def Record(self):
        return Entry(address=self.record).resolve()


def mode(name, record, **facts):
    return Mode(address=f"robust_tf.evaluation.modes.{name}", record=f"robust_tf.records.evaluation:{record}", **facts)


MODES = {
    "attacks": mode(
        "attacks",
        "Attacks",
        summary="accuracy under each attack, and under the worst of them for each image",
        options=("attacks", "eps", "margin", "time_limit", "batch_size", "skip_certified"),
        certifies=True,
    ),
    "curve": mode(
        "curve",
        "Curve",
        summary="accuracy under PGD at growing radii, until it is below chance (thesis, Algorithm 2)",
        options=("radii", "steps", "restarts", "batch_size", "skip_certified"),
        certifies=True,
        thirds=24,
    ),
    "transfer": mode(
        "transfer",
        "Transfer",
        summary="accuracy of other nets on adversarial images of this run's net (thesis, Algorithm 3)",
        options=("source", "targets", "radii", "steps", "restarts", "batch_size"),
        thirds=3,
    ),
    "ensemble": mode(
        "ensemble",
        "Ensemble",
        summary="the mean of a natural and a robust net's probabilities, attacked as in the thesis and adaptively",
        options=("natural", "eps", "steps", "alpha", "restarts", "batch_size"),
    ),
    "minimal": mode(
        "minimal",
        "Minimal",
        summary="the least radius that fools the net, for each image, and the adversarial images (.npz)",
        options=("radii", "steps", "restarts", "bisections", "batch_size", "skip_certified"),
        certifies=True,
        thirds=6,
    ),
    "generalise": mode(
        "generalise",
        "Generalise",
        summary="accuracy under FGSM, IFGSM and WRM, and the mean size of their perturbations",
        options=("eps", "steps", "alpha", "loss_weight", "deviation", "wrm_steps", "batch_size"),
    ),
    "quantised": mode(
        "quantised",
        "Quantised",
        summary="accuracy under attack with 8-bit kernels, by symmetric and by min-max quantisation",
        options=("attacks", "eps", "batch_size", "skip_certified"),
    ),
    "tflite": mode(
        "tflite",
        "Tflite",
        summary="attacks on the exported files: transfer, surrogate gradient, Square on their scores",
        options=("file", "eps", "steps", "alpha", "restarts", "queries", "batch_size"),
        norms=("linf",),
    ),
    "certify": mode(
        "certify",
        "Certify",
        summary="images that each exported file provably classifies correctly, on all kernels: bounds from its bytes",
        options=("file", "eps", "batch_size"),
        norms=("linf",),
        certifies=True,
        probes=False,
    ),
    "pictures": mode(
        "pictures",
        "Pictures",
        summary="perturbed images, the smallest perturbations that fool the net, and saliency maps, for the report",
        options=("eps", "steps"),
        probes=False,
        images=8,
    ),
    "usefulness": mode(
        "usefulness",
        "Usefulness",
        summary="usefulness of the last layer's input features, clean and under attack (thesis, appendix A)",
        options=("eps", "steps"),
        probes=False,
        images=100,
    ),
}

# Values of --attacks beside ATTACKS: sequences, in which each attack sees only images still classified correctly. The
# function is (logits_fn, EvaluateConfig) -> list of `sequence.SequencedAttack`.
SEQUENCES = {
    "autoattack": Attack(
        address="robust_tf.evaluation.autoattack:autoattack",
        summary="AutoAttack, a sequence of attacks, each on the images still classified correctly; only alone and with"
        " --mode=attacks",
        options=("version", "individual"),
    )
}


ATTACKED = 20  # certified images that are attacked all the same, as a check of the certificate
ATTACK_NAMES = ChainMap(SEQUENCES, ATTACKS)  # values of --attacks; reads both registries, which may grow
