"""The Python examples of the README run, and the commands and files that it names exist."""

import re
from pathlib import Path

import numpy as np

from robust_tf.models.kernels import count, kernels
from robust_tf.models.own import own_net

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(example):
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    return names


def kept(net):
    return sum(np.count_nonzero(layer.kernel) for layer in net.layers if hasattr(layer, "kernel"))


def test_the_example_of_the_whole_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run(EXAMPLES[0])
    assert kept(names["net"]) == round(0.1 * count(kernels(names["net"])))
    attacked = names["attacked"]
    assert attacked.robust_accuracy <= attacked.clean_accuracy > 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["digits.tflite"]


def test_the_example_of_a_robust_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run(EXAMPLES[1])
    assert kept(names["net"]) == kept(names["model"].net) == 43050
    assert (tmp_path / "digits.tflite").stat().st_size < (tmp_path / "digits.keras").stat().st_size


def test_the_example_of_an_own_net(tmp_path, monkeypatch):
    (tmp_path / "my_readme_nets.py").write_text(EXAMPLES[2])
    monkeypatch.syspath_prepend(tmp_path)
    assert own_net("my_readme_nets:small", (48, 64, 3), 5).output_shape == (None, 5)


def test_what_it_names_is_there():
    for linked, named in re.findall(r"\((\w+/[\w./-]*)\)|\b((?:bin|configs)/\w[\w./-]*\w)", README):
        assert (ROOT / (linked or named)).exists(), linked or named
