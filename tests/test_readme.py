"""The Python examples of the README run, and the commands and files that it names exist."""

import re
from pathlib import Path

import numpy as np

from robust_tf.models.own import own_net

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(example):
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    return names


def test_the_library_example():
    net = run(EXAMPLES[0])["net"]
    kept = sum(np.count_nonzero(layer.kernel) for layer in net.layers if hasattr(layer, "kernel"))
    assert kept == 43050


def test_the_example_of_an_own_net(tmp_path, monkeypatch):
    (tmp_path / "my_readme_nets.py").write_text(EXAMPLES[1])
    monkeypatch.syspath_prepend(tmp_path)
    assert own_net("my_readme_nets:small", (48, 64, 3), 5).output_shape == (None, 5)


def test_what_it_names_is_there():
    for linked, named in re.findall(r"\((\w+/[\w./-]*)\)|\b((?:bin|configs)/\w[\w./-]*\w)", README):
        assert (ROOT / (linked or named)).exists(), linked or named
