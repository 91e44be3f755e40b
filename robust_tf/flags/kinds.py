"""Kinds of flag values: how each is read from text, and a description of the text that it expects."""

import re
from fractions import Fraction

from absl import flags

from robust_tf.flags.suggestions import did_you_mean


class Kind(flags.ArgumentParser):
    """Reads a flag's text.

    Args:
      expected: a description for help texts and messages, or a function that returns it (a registry may grow).
      read: text -> value; raises ValueError or returns None for text that does not fit `expected`.
      write: value -> text that `read` reads as the same value.
      names: of the choices, or of the comma-separated ones; messages suggest those that resemble the text.
    """

    def __init__(self, expected, read, write=None, names=()):
        self._expected, self.read, self.write, self.names = expected, read, write or as_text, names

    @property
    def expected(self):
        return self._expected() if callable(self._expected) else self._expected

    def parse(self, argument):
        try:
            value = self.read(argument)
        except (ValueError, ArithmeticError):
            value = None
        if value is None:
            raise ValueError(f"expected {self.expected}; got {argument!r}{self.suggestion(argument)}")
        return value

    def suggestion(self, argument):
        """What the first part that is no name may have meant."""
        unknown = [part for part in argument.split(",") if part not in self.names]
        return did_you_mean(unknown[0], offered(self.names)) if unknown else ""

    def flag_type(self):
        return self.expected


def real(low, high=float("inf"), *, above=False):
    """A number or fraction ("8/255") in [low, high], or in (low, high] if `above`."""

    def read(text):
        number = float(Fraction(text))
        return number if (low < number if above else low <= number) and number <= high else None

    interval = f"{'(' if above else '['}{low:g}, {high:g}{']' if high < float('inf') else ')'}"
    return Kind(f"a number or fraction in {interval}", read)


def whole(low, high=None):
    """An integer in [low, high]; without `high`, up to 2^31 - 1."""
    expected = f"an integer >= {low}" if high is None else f"an integer in [{low}, {high}]"
    return Kind(expected, lambda text: int(text) if low <= int(text) <= (high or 2**31 - 1) else None)


def one_of(names, aliases=()):
    """One of `names`, a registry or a tuple; `aliases`: a dict alias -> name."""
    aliases = dict(aliases)

    def read(text):
        text = aliases.get(text, text)
        return text if text in names else None

    return Kind(lambda: f"one of {', '.join(offered(names))}", read, names=names)


def offered(names):
    """The names that messages and help texts list: all but those of entries that another command is for."""
    return [name for name in names if not isinstance(names, dict) or getattr(names[name], "offered", True)]


def listed(kind):
    """Comma-separated values of `kind`, at least one, without repeats."""

    def read(text):
        values = tuple(kind.parse(part) for part in text.split(","))
        return values if len(set(values)) == len(values) else None

    return Kind(lambda: f"comma-separated, each once: {kind.expected}", read, names=kind.names)


def image_size(least, most):
    """ "48x64" -> (48, 64), height and width in pixels; "64" -> (64, 64)."""

    def read(text):
        sizes = tuple(int(part) for part in text.split("x"))
        return (sizes * 2)[:2] if len(sizes) <= 2 and least <= min(sizes) <= max(sizes) <= most else None

    expected = f"pixels, HEIGHTxWIDTH or one number for both, {least} to {most}"
    return Kind(expected, read, lambda size: "x".join(map(str, size)))


UNITS = {"s": 1, "m": 60, "h": 3600}


def duration(text):
    """ "90s", "10m", "1.5h" -> seconds."""
    found = float(text[:-1]) * UNITS.get(text[-1:], 0)
    return found if 0 < found < float("inf") else None


NET_FILES = (".keras", ".h5", ".hdf5")


def names_file(text):
    """Whether --model names a file or folder of a net, by the form of its text."""
    return text.endswith(NET_FILES) or "/" in text


def net(names):
    """One of `names`, or the user's own: "package.module:function", or a file or folder of a trained net."""

    def read(text):
        module, _, function = text.partition(":")
        own = function.isidentifier() and all(part.isidentifier() for part in module.split("."))
        return text if text in names or own or names_file(text) else None

    return Kind(
        lambda: f"one of {', '.join(names)}, package.module:function, or a Keras net: FILE.keras, FILE.h5, ./FOLDER",
        read,
        names=names,
    )


def sequence(kind, named=()):
    """Pairs epoch:value, epochs increasing from 0: "0:0.1,20:0.3" -> ((0, 0.1), (20, 0.3)). Or a name of `named`."""

    def read(text):
        if text in named:
            return text
        pairs = [part.split(":") for part in text.split(",")]
        pairs = tuple((int(epoch), kind.parse(value)) for epoch, value in pairs)
        epochs = [epoch for epoch, _ in pairs]
        return pairs if epochs[0] == 0 and epochs == sorted(set(epochs)) else None

    def expected():
        names = f"one of {', '.join(named)}, or " if named else ""
        return f"{names}epoch:value,... with epochs increasing from 0, each value {kind.expected}"

    return Kind(expected, read, names=named)


def increasing(kind):
    """Comma-separated values of `kind`, each larger than the one before."""

    def read(text):
        values = tuple(kind.parse(part) for part in text.split(","))
        return values if list(values) == sorted(set(values)) else None

    return Kind(f"comma-separated and increasing: {kind.expected}", read)


def regular(text):
    """The text of a regular expression."""
    try:
        return re.compile(text).pattern or None
    except (re.error, OverflowError, RecursionError):
        return None


def as_text(value):
    """A value as it is typed on a command line; pairs become epoch:value."""
    if isinstance(value, tuple):
        return ",".join(":".join(map(as_text, part)) if isinstance(part, tuple) else as_text(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


TEXT = Kind("text", lambda text: text or None)
REGULAR = Kind("a regular expression", regular)
MANY = Kind("text; the flag may be repeated", str)
DURATION = Kind("a time above 0 with its unit, such as 90s, 10m or 1.5h", duration, lambda value: f"{value!r}s")
SWITCH = Kind("true or false", lambda text: {"true": True, "false": False, "1": True, "0": False}.get(text.lower()))
EPS = real(0)
RADII = increasing(real(0, above=True))
RATIO = real(0, 1, above=True)
