"""--require: accuracies below which an evaluation fails, so that a release pipeline can stand on it."""

import dataclasses
from typing import NamedTuple

from robust_tf.evaluation import ATTACK_NAMES, MODES, SEQUENCES
from robust_tf.flags.kinds import Kind
from robust_tf.flags.meaning import meant
from robust_tf.flags.suggestions import did_you_mean
from robust_tf.refusal import Refusal
from robust_tf.terminal import quiet

ESTIMATE = ":estimate"


class Requirement(NamedTuple):
    """The lower end of the 95 % interval of an accuracy, or its `estimate` itself, is at least `least`."""

    name: str
    least: float
    estimate: bool

    def __str__(self):
        return f"{self.name}>={self.least!r}{ESTIMATE * self.estimate}"


def read(text):
    """ "robust>=0.85,certified>=0.8:estimate" -> Requirements; None for other text."""
    found = []
    for part in text.split(","):
        name, _, least = part.partition(">=")
        number = float(least.removesuffix(ESTIMATE))
        if not (name.strip() and 0 <= number <= 1):
            return None
        found.append(Requirement(name.strip(), number, least.endswith(ESTIMATE)))
    return tuple(found)


REQUIREMENTS = Kind(
    f"NAME>=SHARE,..., each SHARE a number in [0, 1], with {ESTIMATE} behind it for the estimate itself",
    read,
    lambda requirements: ",".join(map(str, requirements)),
)


def check(config):
    """Raises Refusal for a requirement of something that the EvaluateConfig does not measure."""
    names = measurable(config)
    for requirement in config.require or ():
        if requirement.name not in names:
            raise Refusal(
                f"--require={requirement}: expected the name of something that is measured: {', '.join(names)}; got"
                f" {requirement.name}{did_you_mean(requirement.name, [*names, *ATTACK_NAMES])}"
            )


def measurable(config):
    """Names that --require may use."""
    mode = MODES[config.mode]
    fields = {field.name for field in dataclasses.fields(mode.Record)}
    names = ["clean", *["robust"] * ("robust_accuracy" in fields), *["certified"] * mode.certifies]
    if "per_attack" in fields and "attacks" in meant(config):
        with quiet():  # a sequence's attacks load TensorFlow, which writes to stderr
            for name in config.attacks:
                parts = SEQUENCES[name](None, config) if name in SEQUENCES else ()
                names += [name, *(attack.name for attack in parts)]
    return list(dict.fromkeys(names))


def measured(record):
    """{name: accuracy} of an evaluation; None for a certificate that there is not."""
    found = {"clean": record.clean_accuracy, "certified": certified(record)}
    found |= getattr(record, "per_attack", {})
    if hasattr(record, "robust_accuracy"):
        found["robust"] = record.robust_accuracy
        if getattr(record, "version", None):
            found[record.attacks[0]] = record.robust_accuracy
    return found


def certified(record):
    """Of --mode=certify the least of all files, 0 for one that cannot be certified; otherwise of the net."""
    if record.mode != "certify":
        return record.certified_accuracy
    return min((each.certificate.certified or 0) / each.certificate.num_images for each in record.files.values())


def of_file(record, requirement):
    """In words, which file falls short where the least of several counts; "" where there is one figure."""
    if record.mode != "certify" or requirement.name != "certified":
        return ""
    name = min(record.files, key=lambda each: record.files[each].certificate.certified or 0)
    reason = record.files[name].certificate.reason
    return f" for {name}" + f", which cannot be certified: {reason}" * bool(reason) + "; --file names one file"


def shortfalls(record, requirements):
    """One phrase for each requirement that the record does not meet."""
    from robust_tf.drawing.words import percent  # SciPy, which every command would load with its flags
    from robust_tf.records.interval import interval

    found = []
    for requirement in requirements or ():
        accuracy = measured(record)[requirement.name]
        if accuracy is None:
            found.append(f"{requirement}: interval bounds do not support the net or the norm")
            continue
        reached = accuracy if requirement.estimate else interval(accuracy, record.num_images)[0]
        if reached < requirement.least:
            found.append(f"{requirement}: got {percent(accuracy, record.num_images)}{of_file(record, requirement)}")
    return found
