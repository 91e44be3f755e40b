"""How the text of a flag is read: kinds of values, each with what it expects in words."""

from fractions import Fraction

from absl import flags


class Kind(flags.ArgumentParser):
    """How a flag's text is read; `read` raises ValueError or returns None for what `expected` excludes."""

    def __init__(self, expected, read):
        self.expected, self.read = expected, read

    def parse(self, argument):
        try:
            value = self.read(argument)
        except (ValueError, ArithmeticError):
            value = None
        if value is None:
            raise ValueError(f"expected {self.expected}; got {argument!r}")
        return value

    def flag_type(self):
        return self.expected


def real(low, high=float("inf"), *, above=False):
    """A number or fraction ("8/255") in [low, high], or in (low, high] where `above`."""

    def read(text):
        number = float(Fraction(text))
        return number if (low < number if above else low <= number) and number <= high else None

    interval = f"{'(' if above else '['}{low:g}, {high:g}{']' if high < float('inf') else ')'}"
    return Kind(f"a number or fraction in {interval}", read)


def whole(low, high=None):
    """An integer in [low, high]; without `high`, up to what TensorFlow counts with."""
    expected = f"an integer >= {low}" if high is None else f"an integer in [{low}, {high}]"
    return Kind(expected, lambda text: int(text) if low <= int(text) <= (high or 2**31 - 1) else None)


def one_of(names):
    return Kind(f"one of {', '.join(names)}", lambda text: text if text in names else None)


def listed(kind):
    """Comma-separated values of `kind`, at least one."""

    def read(text):
        values = tuple(kind.parse(part) for part in text.split(","))
        return values if len(set(values)) == len(values) else None

    return Kind(f"comma-separated, each once: {kind.expected}", read)


def image_size(least, most):
    """ "48x64" -> (48, 64), height and width in pixels; "64" -> (64, 64)."""

    def read(text):
        sizes = tuple(int(part) for part in text.split("x"))
        return (sizes * 2)[:2] if len(sizes) <= 2 and least <= min(sizes) <= max(sizes) <= most else None

    return Kind(f"pixels, HEIGHTxWIDTH or one number for both, {least} to {most}", read)


def net(names):
    """One of `names`, or the user's own as "package.module:function"."""

    def read(text):
        module, _, function = text.partition(":")
        own = function.isidentifier() and all(part.isidentifier() for part in module.split("."))
        return text if text in names or own else None

    return Kind(f"one of {', '.join(names)}, or package.module:function", read)


def sequence(kind, named=()):
    """Pairs epoch:value with epochs growing from 0; "0:0.1,20:0.3" -> ((0, 0.1), (20, 0.3)). Or a name of `named`."""

    def read(text):
        if text in named:
            return text
        pairs = [part.split(":") for part in text.split(",")]
        pairs = tuple((int(epoch), kind.parse(value)) for epoch, value in pairs)
        epochs = [epoch for epoch, _ in pairs]
        return pairs if epochs[0] == 0 and epochs == sorted(set(epochs)) else None

    names = f"one of {', '.join(named)}, or " if named else ""
    return Kind(f"{names}epoch:value,... with epochs growing from 0, each value {kind.expected}", read)


def growing(kind):
    """Comma-separated values of `kind`, each larger than the one before."""

    def read(text):
        values = tuple(kind.parse(part) for part in text.split(","))
        return values if list(values) == sorted(set(values)) else None

    return Kind(f"comma-separated and growing: {kind.expected}", read)


TEXT = Kind("text", lambda text: text or None)
MANY = Kind("once for each value", str)
SWITCH = flags.BooleanParser()
EPS = real(0)
RADII = growing(real(0, above=True))
RATIO = real(0, 1, above=True)
