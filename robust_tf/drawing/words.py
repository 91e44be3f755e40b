"""Numbers, settings and names as text."""

from collections import Counter
from pathlib import PurePath

from robust_tf.records.interval import interval
from robust_tf.terminal import number_of


def percent(fraction, count=None):
    """ "87.20%", or for a fraction of `count` images "87.20% [84.0, 90.0]", with its 95 % interval; "" for None."""
    if fraction is None:
        return ""
    ends = "" if count is None else " [{:.1f}, {:.1f}]".format(*(100 * end for end in interval(fraction, count)))
    return f"{fraction:.2%}{ends}"


def number(value):
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def described(record):
    """The attacks and settings of a record of --mode=attacks, in one line; "" for None.

    The seed is left out, because evaluations that differ in it measure the same.
    """
    if record is None:
        return ""
    kind = ", ".join(filter(None, (record.version, "individual" if record.individual else None)))
    further = {name: value for name, value in (record.further or {}).items() if value is not None}
    settings = (
        f"{record.norm} eps {record.eps:.4g}",
        steps_in_words(record),
        f"{record.restarts} restarts" if (record.restarts or 1) > 1 else "",
        f"{record.queries:,} queries" if record.queries else "",
        *(f"{name} {value}" for name, value in further.items()),
        number_of(record.num_images, "image") + (" drawn at random" if record.sample else ""),
    )
    return f"{', '.join(record.attacks)}{f' ({kind})' if kind else ''}; {', '.join(filter(None, settings))}"


def steps_in_words(record):
    """ "10 steps of 0.025"; without the step size where the attacks choose it, "" for attacks without steps."""
    if record.steps is None:
        return ""
    return f"{record.steps} steps" + (f" of {record.alpha:.3g}" if record.alpha else "")


def short_names(paths):
    """A name for each path: its last part, with as many parts before it as tell it from the other paths."""
    parts = [PurePath(path).parts for path in paths]
    return [str(PurePath(*shortest_end(own, parts))) for own in parts]


def shortest_end(own, others):
    """The fewest last parts with which only one of `others` ends; all parts if there are no such."""
    ends = (own[-length:] for length in range(1, len(own)))
    return next((end for end in ends if sum(other[-len(end) :] == end for other in others) == 1), own)


def numbered(texts, groups=None):
    """The texts, with a number behind each that came before: "a", "b", "a (2)"; in its group, if there are groups."""
    seen, found = Counter(), []
    for text, group in zip(texts, groups or [""] * len(texts)):
        seen[text, group] += 1
        found.append(text if seen[text, group] == 1 else f"{text} ({seen[text, group]})")
    return found
