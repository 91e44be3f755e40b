"""Registries: plain dicts of name -> Entry. An entry holds the facts that are needed before its code is imported.

So flags are checked and --help is printed without importing TensorFlow.
"""

import importlib
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of a registry.

    address: "package.module:object", or "package.module"; imported at its first use.
    summary: one line for help texts and tables.
    options: names of the flags that apply if this entry is chosen.
    """

    address: str
    summary: str = ""
    options: tuple = ()

    def resolve(self):
        """The object at the address, or the module."""
        module, _, name = self.address.partition(":")
        imported = importlib.import_module(module)
        return getattr(imported, name) if name else imported

    def __call__(self, *args, **kwargs):
        return self.resolve()(*args, **kwargs)
