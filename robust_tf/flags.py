"""How a configuration is read from flags: a dataclass whose fields are made by `flag`, from a command line."""

import dataclasses
import textwrap

from absl import flags

from robust_tf.kinds import MANY, SWITCH
from robust_tf.refusal import Refusal


def flag(kind, default, help, methods=(), **needs):
    """A field read from --NAME; `methods` and `needs`, flag=values, are the only ones that it means anything to."""
    needs = {"method": methods, **needs} if methods else needs
    metadata = {"kind": kind, "default": default, "help": help, "needs": needs}
    return dataclasses.field(default=None, metadata=metadata)


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
    """Usage and flags of `Config`, one paragraph a flag, with what it expects and its default."""
    lines = [Config.__doc__, "", "  --flagfile=FILE", "      flags from FILE, one a line; flags after it override it"]
    for field in dataclasses.fields(Config):
        kind, default, text = (field.metadata[key] for key in ("kind", "default", "help"))
        expected = f"--{field.name}, --no{field.name}" if kind is SWITCH else f"--{field.name}=({kind.expected})"
        text = text if default is None else f"{text}; default: {default}"
        modes = field.metadata["needs"].get("mode", ())
        text = f"{text}; with --mode={'|'.join(modes)}" if modes else text
        lines += textwrap.wrap(expected, 110, initial_indent="  ", subsequent_indent="    ")
        lines += textwrap.wrap(text, 110, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def read(Config, argv):
    """(Config as it stands on the command line, names of the flags given); raises Refusal with one line."""
    values = _define(Config)
    try:
        rest = values(["command", *argv])[1:]
    except (flags.Error, UnicodeDecodeError) as error:
        raise Refusal(" ".join(str(error).split())) from None
    if rest:
        raise Refusal(f"expected flags only, --name=value; got {rest[0]!r}")
    names = [field.name for field in dataclasses.fields(Config)]
    return Config(**{name: values[name].value for name in names}), [name for name in names if values[name].present]


def idle(config, names):
    """(name, other flag, its values that would do) for each flag of `names` that means nothing in `config`."""
    needs = {field.name: field.metadata["needs"] for field in dataclasses.fields(config)}
    return [
        (name, other, allowed)
        for name in names
        for other, allowed in needs[name].items()
        if getattr(config, other) not in allowed
    ]


def divided(argv, Own, Other):
    """(the part of argv that Own's flags are, {name: text} of the rest, taken for Other's), with flagfiles read.

    A flag of both is Own's; of one given twice to Other the later counts. Raises Refusal for a flag without a value.
    """
    try:
        tokens = iter(flags.FlagValues().read_flags_from_files(list(argv)))
    except (flags.Error, UnicodeDecodeError) as error:
        raise Refusal(" ".join(str(error).split())) from None
    switches = {field.name for field in dataclasses.fields(Other) if field.metadata["kind"] is SWITCH}
    ours, own, rest = {field.name for field in dataclasses.fields(Own)}, [], {}
    for token in tokens:
        if not token.startswith("-"):
            raise Refusal(f"expected flags only, --name=value; got {token!r}")
        name, given, text = token.lstrip("-").partition("=")
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
