"""The launchers in bin/: they find the project from any folder, and name the Python version that they need."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command", ["train", "import", "evaluate", "export_tflite", "benchmark", "report", "sweep", "quickstart"]
)
def test_help_from_another_folder_and_through_a_link(command, tmp_path):
    link = tmp_path / command
    link.symlink_to(ROOT / "bin" / command)
    done = subprocess.run([link, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"bin/{command}" in done.stdout


@pytest.fixture
def train_with(tmp_path):
    """Runs bin/train of a checkout without .venv. The only Python is a shell script with the branches `cases`."""

    def run(cases):
        tools = tmp_path / "tools"
        tools.mkdir()
        for tool in ("sh", "dirname", "readlink", "cmp"):
            (tools / tool).symlink_to(shutil.which(tool))
        (tools / "python3").write_text(f'#!/bin/sh\ncase "$*" in {cases} esac\n')
        (tools / "python3").chmod(0o755)
        checkout = tmp_path / "checkout"
        shutil.copytree(ROOT / "bin", checkout / "bin")
        shutil.copy(ROOT / "requirements.lock", checkout)
        command = [checkout / "bin" / "train", "--eps=0.1"]
        return subprocess.run(command, capture_output=True, text=True, env={"PATH": str(tools)})

    return run


def test_the_python_version_is_checked(train_with):
    done = train_with("*find_spec*) exit 1;; *version_info*) echo 3.9;; *) echo Python 3.9.1;;")
    assert done.returncode == 2
    expected = "robust_tf: expected Python of one of the versions 3.13 3.12 3.11 on the PATH; got Python 3.9.1; install"
    assert done.stderr.startswith(expected)
    assert done.stderr.count("\n") == 1


def test_the_active_environment_is_used_where_it_holds_robust_tf(train_with):
    done = train_with("*find_spec*) exit 0;; *sys.prefix*) echo /some/environment;; *) echo active: $*;;")
    assert done.stdout == "active: -P -m robust_tf.commands.train --eps=0.1\n"


def test_a_script_finds_a_module_beside_it(tmp_path):
    (tmp_path / "beside.py").write_text("value = 17")
    (tmp_path / "script.py").write_text("import beside, robust_tf\nprint(beside.value)")
    done = subprocess.run(
        [ROOT / "bin" / "python", tmp_path / "script.py"], cwd=ROOT / "tests", capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("17\n", "")


def test_no_file_in_the_current_folder_takes_the_place_of_a_module(tmp_path):
    (tmp_path / "robust_tf.py").write_text("raise SystemExit('not this one')")
    done = subprocess.run([ROOT / "bin" / "train", "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
