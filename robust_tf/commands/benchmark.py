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
            if not folder:
                raise benchmark_tflite.Refusal("--workdir: expected a run directory; got none")
            export = Path(folder) / "export"
            given = any(other.startswith("--json") for other in argv)
            return [*argv[:i], str(export), *([] if given else [f"--json={export / 'benchmark.json'}"]), *rest]
    return argv


def main():
    argv = sys.argv[1:]
    if {"-h", "--help"} & set(argv):
        print(__doc__)
    try:
        sys.exit(benchmark_tflite.main(arguments(argv)))
    except benchmark_tflite.Refusal as refusal:
        print(f"benchmark: {refusal}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
