"""bin/quickstart [WORKDIR]: trains, evaluates, exports, benchmarks and reports on the embedded digits, in minutes.

Prints each command before it runs it, and a table of the results at the end. WORKDIR defaults to runs/quickstart; a
second call resumes there.
"""

import subprocess
import sys
import time
from pathlib import Path

from rich.table import Table

from robust_tf.drawing.words import percent
from robust_tf.refusal import Refusal
from robust_tf.report.runs import read_run
from robust_tf.report.strictest import strictest
from robust_tf.terminal import screen

ROOT = Path(__file__).parents[2]


def commands(workdir):
    """The commands to run, as a user would type them."""
    return [
        ["bin/train", "--flagfile=configs/quickstart.cfg", f"--workdir={workdir}"],
        ["bin/evaluate", f"--workdir={workdir}", "--attacks=fgsm,pgd", "--steps=50"],
        ["bin/evaluate", f"--workdir={workdir}", "--mode=pictures", "--steps=20"],
        ["bin/evaluate", f"--workdir={workdir}", "--mode=usefulness", "--steps=20"],
        ["bin/export_tflite", f"--workdir={workdir}", "--formats=float32,float16,int8,sparse,compact,compact-int8"],
        ["bin/benchmark", f"--workdir={workdir}"],
        ["bin/report", f"--workdir={workdir}"],
    ]


def show(workdir, console):
    """Prints a table of the exported files: clean and robust accuracy, bytes, milliseconds."""
    run = read_run(workdir.name, workdir)
    summary, manifest, evaluated = run.summary, run.manifest, strictest(run)
    if None in (summary, manifest, evaluated):
        raise Refusal(f"expected a summary, a manifest and an evaluation in {workdir}; got {'; '.join(run.absent)}")
    milliseconds = {
        timing.file: timing.median_ms for timing in run.timings if (timing.protocol, timing.batch) == ("memory", 1)
    }
    kept = f"{summary.kernels_nonzero:,} of {summary.kernels_total:,} ({summary.ratio:.1%})"
    table = Table(
        "format", "clean", "robust*", "bytes", "gzip", "ms an image", title=f"What you would ship: {kept} weights kept"
    )
    for file in manifest.files:
        table.add_row(
            file.format, f"{file.clean_accuracy:.1%}", percent(file.robust_accuracy, manifest.attack.num_images),
            f"{file.bytes:,}", f"{file.gzip_bytes:,}", f"{milliseconds[file.file]:.3f}",
        )  # fmt: skip
    console.print(table)
    console.print(
        f"* {manifest.attack.steps}-step PGD examples of the Keras net at {evaluated.norm} eps {evaluated.eps:g}. The"
        f" net itself, on the {evaluated.num_images} test images: clean {evaluated.clean_accuracy:.1%}, under the worst"
        f" of {', '.join(evaluated.attacks)} ({evaluated.steps} steps)"
        f" {percent(evaluated.robust_accuracy, evaluated.num_images)}.",
        highlight=False,
    )


def main():
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    if len(sys.argv) > 2 or any(argument.startswith("-") for argument in sys.argv[1:]):
        print(f"quickstart: expected at most one argument, WORKDIR; got {' '.join(sys.argv[1:])}", file=sys.stderr)
        sys.exit(2)
    started = time.perf_counter()
    console = screen()
    workdir = Path(sys.argv[1] if len(sys.argv) == 2 else "runs/quickstart").absolute()
    for command in commands(workdir):
        console.print(f"\n[bold]$ {' '.join(command)}[/bold]", highlight=False, soft_wrap=True)
        code = subprocess.run(command, cwd=ROOT).returncode
        if code:
            sys.exit(code)
    try:
        show(workdir, console)
    except Refusal as refusal:
        print(f"quickstart: {refusal}", file=sys.stderr)
        sys.exit(2)
    console.print(f"{time.perf_counter() - started:.0f} s in total. All files are in {workdir}", highlight=False)


if __name__ == "__main__":
    main()
