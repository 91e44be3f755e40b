"""A configuration written as flags, as JSON and as keywords of a program."""

import dataclasses
import json

import numpy as np

from robust_tf.flags.declare import parse, read
from robust_tf.flags.kinds import as_text
from robust_tf.flags.meaning import meant
from robust_tf.refusal import Refusal


def from_keywords(Config, **values):
    """The Config of a program's keywords: values, or text as on a command line; None is the flag's default.

    Raises Refusal as for a command line.
    """
    return parse(Config, [f"--{name}={written(value)}" for name, value in values.items() if value is not None])


def written(value):
    if isinstance(value, list | tuple):
        return as_text(tuple(tuple(each) if isinstance(each, list) else each for each in value))
    return as_text(value.item() if isinstance(value, np.generic) else value)


def flagfile(config, without=()):
    """Lines --name=value of the flags that are set and apply; reading them gives the same configuration."""
    fields = [
        field for field in dataclasses.fields(config) if field.name in meant(config) and field.name not in without
    ]
    return [
        f"--{field.name}={field.metadata['kind'].write(getattr(config, field.name))}"
        for field in fields
        if getattr(config, field.name) is not None
    ]


def as_json(config):
    """{flag: JSON value} of the configuration; tuples become lists."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def identifying(config):
    """{flag: JSON value} of the flags that apply and differ from those of a command line without flags.

    So a flag that is added later does not change what identifies a configuration of today.
    """
    plain = as_json(parse(type(config), []))
    return {name: value for name, value in as_json(config).items() if name in meant(config) and value != plain[name]}


def from_json(Config, values, source):
    """The Config of values from `as_json`; a flag that they lack, since it was added later, has its default.

    Args:
      values: {flag: JSON value}.
      source: where the values come from, for messages.

    Raises Refusal for an unknown flag, or a value that the flag does not accept.
    """
    if not isinstance(values, dict):
        raise Refusal(f"{source}: expected a JSON object; got {str(values)[:80]}")
    config, _ = read(Config, [])
    fields = {field.name: field for field in dataclasses.fields(Config)}
    unknown = sorted(values.keys() - fields.keys())
    if unknown:
        raise Refusal(f"{source}: expected flags of {Config.__doc__.split(':')[0]}; got {unknown[0]!r}")
    found = {}
    for name, value in values.items():
        if value is None:
            found[name] = None
            continue
        kind = fields[name].metadata["kind"]
        try:
            found[name] = kind.parse(kind.write(as_tuples(value)))
        except (ValueError, TypeError, AttributeError) as error:
            raise Refusal(f"{source}: {name}: {error}") from None
    return dataclasses.replace(config, **found)


def as_tuples(value):
    return tuple(as_tuples(each) for each in value) if isinstance(value, list) else value
