"""Registries are plain dicts of name -> Entry; an Entry imports its function only when called.

So the names can be listed and checked (flags, --help) in milliseconds, before TensorFlow is imported.
"""

import importlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """The callable at `address` = "package.module:function", imported at its first call."""

    address: str

    def resolve(self):
        module, function = self.address.split(":")
        return getattr(importlib.import_module(module), function)

    def __call__(self, *args, **kwargs):
        return self.resolve()(*args, **kwargs)
