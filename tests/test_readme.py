"""The README's library example runs, and the commands and files that it names exist."""

import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_library_example():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    net = names["net"]
    kept = sum(np.count_nonzero(layer.kernel) for layer in net.layers if hasattr(layer, "kernel"))
    assert kept == 43050


def test_what_it_names_is_there():
    for linked, named in re.findall(r"\((\w+/[\w./-]*)\)|\b((?:bin|configs)/\w[\w./-]*\w)", README):
        assert (ROOT / (linked or named)).exists(), linked or named
