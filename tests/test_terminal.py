"""What commands print is whole where the output is a pipe or a file."""

import os
import subprocess
import sys

PROGRAM = """
from rich.table import Table
from robust_tf.terminal import screen
table = Table(*(f"a long column {i}" for i in range(12)))
table.add_row(*("a value that is long" for _ in range(12)))
screen().print(table)
screen().print("word " * 40)
"""


def test_tables_and_lines_are_whole_in_a_pipe():
    quiet = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env={**quiet, "COLUMNS": "80"}, check=True
    )
    lines = done.stdout.splitlines()
    assert sum(line.count("a value that is long") for line in lines) == 12
    assert any(line.count("a value that is long") == 12 for line in lines)
    assert ("word " * 40).strip() in [line.strip() for line in lines]
    assert all(len(line) < 400 for line in lines)
