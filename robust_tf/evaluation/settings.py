"""The settings of an evaluation: from its flags, otherwise from the training run."""

import dataclasses

from robust_tf.attacks import ATTACKS, default_alpha
from robust_tf.evaluation import MODES, SEQUENCES
from robust_tf.flags.meaning import meant
from robust_tf.flags.suggestions import of_8_bits
from robust_tf.flags.text import as_json
from robust_tf.refusal import Refusal


def resolved(config, trained_as):
    """The EvaluateConfig with all settings that apply to its mode and attacks; the others are None.

    Args:
      config: EvaluateConfig.
      trained_as: the run's TrainConfig.

    Raises Refusal where alpha exceeds eps, the mode or an attack does not support the norm, or a radius is missing or
    too large.
    """
    mode, useful = MODES[config.mode], meant(config)
    norm = config.norm or trained_as.norm
    if norm not in mode.norms:
        raise Refusal(f"--mode={config.mode}: expected --norm={'|'.join(mode.norms)} with it; got {norm}")
    if "attacks" in useful:
        check_attacks(config, norm)
    filled = {"norm": norm, "num_images": config.num_images or mode.images}
    for name in ("eps", "radii"):
        if name in useful:
            filled |= {name: radius(config, name, norm, trained_as)}
    eps = filled.get("eps")
    if "alpha" in useful:
        if config.alpha is not None and config.alpha > eps:
            raise Refusal(f"--alpha: expected at most eps ({eps:g}); got {config.alpha:g}{of_8_bits(config.alpha)}")
        filled["alpha"] = default_alpha(eps, config.steps) if config.alpha is None else config.alpha
    unused = {field.name: None for field in dataclasses.fields(config) if field.name not in useful}
    return dataclasses.replace(config, **filled, **unused)


def check_attacks(config, norm):
    """Raises Refusal where one of --attacks does not support the norm, or AutoAttack is not alone."""
    given = ",".join(config.attacks)
    for name in config.attacks:
        if name in SEQUENCES:
            if norm not in SEQUENCES[name].norms or len(config.attacks) > 1 or config.mode != "attacks":
                raise Refusal(
                    f"--attacks={name}: expected it alone, with --norm=linf --mode=attacks; got --attacks={given}"
                    f" --norm={norm} --mode={config.mode}"
                )
            continue
        norms = ATTACKS[name].norms
        if not norms:
            raise Refusal(
                f"--attacks={name}: expected --mode=generalise, as no radius bounds this attack; got {config.mode}"
            )
        if norm not in norms:
            raise Refusal(f"--attacks={name}: expected --norm={'|'.join(norms)} with it; got {norm}")


def on_margin(config, classes):
    """Names of the attacks that ascend the margin, as a net of so many classes has no ratio of logits."""
    sequences = [SEQUENCES[name](None, config) if name in SEQUENCES else () for name in config.attacks or ()]
    names = [*(config.attacks or ()), *(attack.name for attacks in sequences for attack in attacks)]
    return tuple(name for name in names if name in ATTACKS and classes < ATTACKS[name].least_classes)


def radius(config, name, norm, trained_as):
    """eps, or the radii, from the flag or the training run; raises Refusal where there is none, or one above 1."""
    value = getattr(config, name)
    if value is None:
        if norm != trained_as.norm:
            raise Refusal(
                f"--{name}: expected a value with --norm={norm}, as the run's is for {trained_as.norm}; got none"
            )
        if name == "radii" and trained_as.eps == 0:
            raise Refusal("--radii: expected a value, as the run was trained with eps 0; got none")
        most = 1.0 if norm == "linf" else float("inf")
        thirds = [third / 3 * trained_as.eps for third in range(1, 1 + MODES[config.mode].thirds)]
        value = trained_as.eps if name == "eps" else tuple(round(r, 10) for r in thirds if r <= most)
    for each in value if name == "radii" else (value,):
        if norm == "linf" and each > 1:
            raise Refusal(
                f"--{name}: expected a number or fraction in [0, 1] with --norm=linf; got {each:g}{of_8_bits(each)}"
            )
    return value


# Flags that a record does not hold: they change no result.
NO_SETTINGS = ("workdir", "source", "data_dir", "batch_size", "skip_certified", "require")


def settings(config, Record):
    """{field of the record: setting} for the fields that are flags of bin/evaluate.

    `further` holds the flags that apply and that the record has no field for, by name: options of added attacks.
    """
    names = [field.name for field in dataclasses.fields(Record)]
    found = {name: getattr(config, name) for name in names if hasattr(config, name)}
    if found["num_images"] is None:
        del found["num_images"]  # the number of test images that exist
    applying = {field.name for field in dataclasses.fields(config)} - set(NO_SETTINGS) - set(names)
    further = {name: value for name, value in as_json(config).items() if name in applying and value is not None}
    return {**found, "further": further or None}


def fits(record, config):
    """Whether a record is of an evaluation with these settings."""
    expected = settings(config, type(record))
    return type(record) is MODES[config.mode].Record and all(
        getattr(record, name) == value for name, value in expected.items()
    )
