"""A configuration is a dataclass whose fields are created by `flag`; `parse` reads it from a command line."""

import dataclasses
import textwrap

from absl import flags

from robust_tf.flags.kinds import MANY, SWITCH, offered
from robust_tf.flags.meaning import idle, in_words, reason, selectors
from robust_tf.flags.suggestions import did_you_mean
from robust_tf.refusal import Refusal


def flag(kind, default, help, options=()):
    """A field that is read from --NAME.

    Args:
      kind: a `kinds.Kind`.
      default: as text; None for a flag without a fixed default (its help says what happens then).
      help: what it sets, with its unit.
      options: for each value of this flag, the further flags that apply with it (see `meaning`): a registry, whose
        entries have `options`, or a dict of tuples.
    """
    metadata = {"kind": kind, "default": default, "help": help, "options": dict_of(options)}
    return dataclasses.field(default=None, metadata=metadata)


def dict_of(options):
    return {} if options == () else options  # a registry stays the same object: it may grow


def parse(Config, argv):
    """Reads and checks a command line, argv without the command's name; returns the Config or raises Refusal."""
    config, given = read(Config, argv)
    for name in idle(config, given):
        raise Refusal(reason(config, name, given))
    return config.checked()


def read(Config, argv):
    """(unchecked Config of a command line, names of the flags that were given); raises Refusal."""
    values = _define(Config)
    try:
        rest = values(["command", *argv])[1:]
    except flags.UnrecognizedFlagError as error:
        names = [field.name for field in dataclasses.fields(Config)]
        raise unknown(error.flagname, names) from None
    except (flags.Error, UnicodeDecodeError) as error:
        raise Refusal(" ".join(str(error).split())) from None
    if rest:
        raise Refusal(f"expected flags only, --name=value; got {rest[0]!r}")
    names = [field.name for field in dataclasses.fields(Config)]
    given = {name: values[name].value for name in names}
    # MANY gives a list.
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return Config(**given), [name for name in names if values[name].present]


def unknown(name, names):
    """The Refusal of a flag that is none of `names`."""
    return Refusal(f"expected a flag that --help lists; got --{name}{did_you_mean(name, names, '--')}")


def _define(Config):
    values = flags.FlagValues()
    for field in dataclasses.fields(Config):
        kind, default, text = (field.metadata[key] for key in ("kind", "default", "help"))
        if kind is SWITCH:
            flags.DEFINE_boolean(field.name, default, text, flag_values=values)
        elif kind is MANY:
            flags.DEFINE_multi_string(field.name, default, text, flag_values=values)
        else:
            flags.DEFINE(kind, field.name, default, text, flag_values=values)
    return values


def help_text(Config):
    """Usage and flags of `Config`. The paragraph of a flag says what it expects, what it sets, its default, and with
    which values of other flags it applies."""
    lines = [Config.__doc__, "", "  --flagfile=FILE", "      flags from FILE, one per line; later flags override them"]
    for field in dataclasses.fields(Config):
        kind, default = field.metadata["kind"], field.metadata["default"]
        expected = f"--{field.name}, --no{field.name}" if kind is SWITCH else f"--{field.name}=({kind.expected})"
        parts = [field.metadata["help"], *summaries(field.metadata["options"])]
        parts += [] if default is None else [f"default: {default}"]
        needed = selectors(Config, field.name)
        parts += [f"only with {in_words(needed)}"] if needed else []
        lines += textwrap.wrap(expected, 110, initial_indent="  ", subsequent_indent="    ")
        lines += textwrap.wrap("; ".join(parts), 110, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def summaries(options):
    """ "name: summary" of each entry of a registry that has one."""
    found = {name: getattr(options[name], "summary", "") for name in offered(options)}
    return [f"{name}: {summary}" for name, summary in found.items() if summary]


def divided(argv, Own, Other):
    """Splits argv into (Own's flags, {name: text} of all others, which are taken for Other's); reads flagfiles.

    A flag of both goes to Own. If a flag of Other is given twice, the later value counts. Raises Refusal for a flag
    without a value, or of neither.
    """
    try:
        tokens = iter(flags.FlagValues().read_flags_from_files(list(argv)))
    except (flags.Error, UnicodeDecodeError) as error:
        raise Refusal(" ".join(str(error).split())) from None
    switches = {field.name for field in dataclasses.fields(Other) if field.metadata["kind"] is SWITCH}
    ours, theirs = ([field.name for field in dataclasses.fields(Config)] for Config in (Own, Other))
    own, rest = [], {}
    for token in tokens:
        if not token.startswith("-"):
            raise Refusal(f"expected flags only, --name=value; got {token!r}")
        name, given, text = token.lstrip("-").partition("=")
        if name not in (*ours, *theirs) and name.removeprefix("no") not in switches:
            raise unknown(name, [*ours, *theirs])
        if not given and name in switches:
            text = "true"
        elif not given and name.removeprefix("no") in switches:
            name, text = name.removeprefix("no"), "false"
        elif not given and (text := next(tokens, None)) is None:
            raise Refusal(f"--{name}: expected a value; got none")
        if name in ours:
            own.append(f"--{name}={text}")
        else:
            rest[name] = text
    return own, rest
