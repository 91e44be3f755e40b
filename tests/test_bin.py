"""The launchers: they find the project from any folder, and say which Python they need."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ACTIVE = {**os.environ, "PATH": f"{Path(os.__file__).parents[2] / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize("command", ["train", "evaluate", "export_tflite", "benchmark", "quickstart"])
def test_help_from_another_folder_and_through_a_link(command, tmp_path):
    link = tmp_path / command
    link.symlink_to(ROOT / "bin" / command)
    done = subprocess.run([link, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"bin/{command}" in done.stdout


def test_the_python_version_is_checked(tmp_path):
    """A checkout without .venv, and a PATH whose only Python is another one."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "dirname", "readlink", "cmp"):
        (tools / tool).symlink_to(shutil.which(tool))
    (tools / "python3").write_text('#!/bin/sh\ncase "$*" in *version_info*) echo 3.9;; *) echo Python 3.9.1;; esac\n')
    (tools / "python3").write_text(
        '#!/bin/sh\ncase "$*" in *find_spec*) exit 1;; *version_info*) echo 3.9;; *) echo Python 3.9.1;; esac\n'
    )
    (tools / "python3").chmod(0o755)
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "bin", checkout / "bin")
    shutil.copy(ROOT / "requirements.lock", checkout)
    done = subprocess.run([checkout / "bin" / "train"], capture_output=True, text=True, env={"PATH": str(tools)})
    assert done.returncode == 2
    assert done.stderr == "robust_tf: expected Python 3.11 on the PATH (python3.11); got Python 3.9.1\n"
