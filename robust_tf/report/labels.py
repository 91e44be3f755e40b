"""Labels of evaluations: the name of the run, and the settings in which its evaluations of a mode differ."""

import dataclasses

from robust_tf.drawing.words import numbered, short_names
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.flags.kinds import as_text

PATHS = ("targets", "natural", "file")
FEW = 3  # radii that a label lists
FORMS = {"attacks": "{}", "version": "{}", "individual": "individual", "norm": "{}", "num_images": "{} images"}


def labels(name, records):
    """A label for each of a run's records of one mode; no two are equal."""
    settings = [settings_of(record) for record in records]
    names = dict.fromkeys(setting for each in settings for setting in each)
    columns = [in_words(setting, [each.get(setting) for each in settings]) for setting in names]
    differing = [texts for texts in columns if len(set(texts)) > 1]
    return numbered([", ".join(filter(None, (name, *texts))) for texts in zip(*differing)] or [name] * len(records))


def settings_of(record):
    """{flag of bin/evaluate: its value in the record}, in the flags' order."""
    flags = [field.name for field in dataclasses.fields(EvaluateConfig)]
    return {flag: getattr(record, flag) for flag in flags if hasattr(record, flag)} | (record.further or {})


def in_words(setting, values):
    """Each value of a setting as text: short, but complete where values that differ would look equal; "" if unset."""
    texts = [brief(setting, value) for value in values]
    if len(set(texts)) < len(set(map(repr, values))):
        texts = [as_text(value) for value in values]
    form = FORMS.get(setting, f"{setting} {{}}")
    return ["" if value is None or value is False else form.format(text) for value, text in zip(values, texts)]


def brief(setting, value):
    if value is None:
        return ""
    if setting in PATHS:
        return " ".join(short_names(value if isinstance(value, tuple) else [value]))
    if setting == "attacks":
        return " + ".join(value)
    if setting == "radii" and len(value) > FEW:
        return f"{value[0]:.3g} to {value[-1]:.3g}"
    if isinstance(value, tuple):
        return " ".join(brief("", each) for each in value)
    return f"{value:.4g}" if isinstance(value, float) else as_text(value)
