"""bin/benchmark PATH or --workdir=DIR: export/benchmark_tflite.py on a file, a folder or a run directory.

With --workdir the records are also written to DIR/export/benchmark.json, unless --json names another file.
"""

import sys
from pathlib import Path

from export import benchmark_tflite


def arguments(argv):
    """--workdir=DIR or --workdir DIR -> DIR/export --json=DIR/export/benchmark.json; the rest as it is."""
    argv = list(argv)
    for i, argument in enumerate(argv):
        name, _, folder = argument.partition("=")
        if name == "--workdir":
            rest = argv[i + 1 :]
            if not folder and rest:
                folder = rest.pop(0)
            export = Path(folder) / "export"
            given = any(other.startswith("--json") for other in argv)
            return [*argv[:i], str(export), *([] if given else [f"--json={export / 'benchmark.json'}"]), *rest]
    return argv


def main():
    argv = sys.argv[1:]
    if {"-h", "--help"} & set(argv):
        print(__doc__)
    sys.exit(benchmark_tflite.main(arguments(argv)))


if __name__ == "__main__":
    main()
