"""Reading, checking and writing of records: dataclasses that are stored as JSON files.

A record's class may have

    VERSION        version of its layout, record_version in the file; 1 if the class or the file has none
    upgraded(values, version)   static; the JSON object of an older layout -> that of the present one
    BARE_LIST      name of a field whose list was the whole file in an older layout

Fields that are None are left out of the file.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import msgspec

from robust_tf.files import write_text
from robust_tf.refusal import Refusal

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Interval = tuple[Share, Share]  # of 95 %
Seconds = Annotated[float, msgspec.Meta(ge=0)]


def write(path, record):
    """Writes a record; a reader sees the old file or the new one. Raises ValueError for a number that is not finite."""
    write_text(path, as_text(record))


def as_text(record):
    """The record as the text of its file."""
    values = msgspec.to_builtins(record)
    values = {name: value for name, value in values.items() if value is not None}
    return json_text({"record_version": version(type(record)), **values})


def json_text(values):
    return json.dumps(values, indent=2, allow_nan=False) + "\n"


def version(Type):
    return getattr(Type, "VERSION", 1)


def read(path, Type):
    """The record of the dataclass Type in `path`; raises Refusal if it is missing or does not fit."""
    values, older = read_json(path), getattr(Type, "upgraded", None)
    if isinstance(values, list) and hasattr(Type, "BARE_LIST"):
        values = {Type.BARE_LIST: values}
    if not isinstance(values, dict):
        raise Refusal(f"{path}: expected a JSON object; got {str(values)[:80]}")
    written = values.pop("record_version", 1)
    if type(written) is not int or not 1 <= written <= version(Type):
        raise Refusal(
            f"{path}: expected the record {Type.__name__} of version {version(Type)} or before; got version {written!r}"
        )
    if written < version(Type) and older:
        values = older(values, written)
    elif unknown := sorted(values.keys() - {field.name for field in fields(Type)}):
        raise Refusal(f"{path}: expected the fields of a {Type.__name__} record; got {unknown[0]!r}")
    return convert(values, Type, path)


def convert(values, Type, source):
    """JSON values -> Type; raises Refusal if they do not fit."""
    try:
        return msgspec.convert(values, Type)
    except msgspec.ValidationError as error:
        name = getattr(Type, "__name__", str(Type))
        raise Refusal(f"{source}: expected the record {name}; got one that does not fit: {error}") from None


def read_json(path):
    """The JSON values in `path`; raises Refusal if the file is missing or damaged."""
    try:
        return msgspec.json.decode(Path(path).read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(f"{path}: expected a readable JSON file; got {error}") from None
