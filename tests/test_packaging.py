"""The installed package contains every folder of the project, under one name."""

import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_folder_with_code_is_a_package(setup):
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "robust_tf").rglob("*.py")}
    expected = {".".join(folder.parts) for folder in folders} | {"robust_tf.export"}
    listed = setup["options"]["packages"].split()
    assert listed == sorted(listed)
    assert set(listed) == expected


def test_what_is_required_is_imported(setup):
    """Some distributions are required but not imported, for the reasons given below."""
    names = {"tensorflow-model-optimization": "tensorflow_model_optimization", "scikit-learn": "sklearn"}
    names |= {"absl-py": "absl", "pillow": "PIL", "protobuf": "google.protobuf", "vl-convert-python": "vl_convert"}
    unseen = {
        "importlib-resources",  # tensorflow-datasets needs it but does not require it
        "tensorboard",  # displays the files of the TensorBoard callback
    }
    lines = [line for line in setup["options"]["install_requires"].splitlines() if line and line[0] != "#"]
    required = {re.match(r"[A-Za-z0-9_-]+", line)[0].replace("_", "-") for line in lines}
    sources = [*(ROOT / "robust_tf").rglob("*.py"), *(ROOT / "export").rglob("*.py")]
    text = "\n".join(path.read_text() for path in sources)
    for name in sorted(required - unseen):
        module = names.get(name, name.replace("-", "_"))
        assert re.search(rf"^\s*(import|from) {module}\b", text, re.M) or f'"{module}.' in text, f"{name} is not used"


def test_a_wheel_owns_one_name(tmp_path):
    """It also runs without the folder from which it was built."""
    source = tmp_path / "source"  # a build leaves files in its folder
    for name in ("robust_tf", "export"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"robust_tf"}
    assert "robust_tf/export/benchmark_tflite.py" in names
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "import robust_tf.export.benchmark_tflite as script, robust_tf.report as report\n"
        "print(script.__file__, len(report.SECTIONS))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.startswith(str(tmp_path)), done.stderr
