"""bin/benchmark PATH or --workdir=DIR: runs export/benchmark_tflite.py on a file, a folder or a run directory.

With --workdir it also writes the records to DIR/export/benchmark.json, or to the file that --json names; --keras then
also times the run's Keras net, on a GPU if TensorFlow finds one.
"""

import sys
from pathlib import Path

from robust_tf.export import benchmark_tflite


def arguments(argv):
    """(argv of the script, run directory): replaces --workdir=DIR by DIR/export --json=DIR/export/benchmark.json."""
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
            return [*argv[:i], str(export), *([] if given else [f"--json={export / 'benchmark.json'}"]), *rest], folder
    return argv, None


def main():
    argv = sys.argv[1:]
    if {"-h", "--help"} & set(argv):
        print(__doc__)
    try:
        script, workdir = arguments([argument for argument in argv if argument != "--keras"])
        others = ()
        if "--keras" in argv:
            if workdir is None:
                raise benchmark_tflite.Refusal("--keras: expected --workdir=DIR with it; got none")
            others = [lambda options: keras_subject(workdir, options)]
        sys.exit(benchmark_tflite.main(script, others))
    except benchmark_tflite.Refusal as refusal:
        print(f"benchmark: {refusal}", file=sys.stderr)
        sys.exit(2)


def keras_subject(workdir, options):
    """The Subject of the run's Keras net as one compiled function; raises the script's Refusal."""
    from robust_tf.refusal import Refusal
    from robust_tf.terminal import quiet
    from robust_tf.training.rundir import RunDirectory

    try:
        run = RunDirectory.open(workdir)
        with quiet():
            import tensorflow as tf

            from robust_tf.models.load import load_net

            tf.config.threading.set_intra_op_parallelism_threads(options.threads)
            net = load_net(run.net_path, run.config.model)
    except Refusal as refusal:
        raise benchmark_tflite.Refusal(refusal) from None
    function = tf.function(lambda x: net(x, training=False))
    detail = {"dtype": net.input.dtype.as_numpy_dtype, "shape": (1, *net.input_shape[1:])}
    images, _ = benchmark_tflite.read_images(options.images, detail)
    facts = {
        "runtime": "tensorflow",
        "version": tf.__version__,
        "delegate": "GPU" if tf.config.list_physical_devices("GPU") else "none",
        "operations": [],
        "peak_memory_bytes": None,
        "sha256": run.digest,
    }
    return benchmark_tflite.Subject(
        run.net_path.name, run.net_path.stat().st_size, lambda batch: function(batch).numpy(), detail, images, facts
    )


if __name__ == "__main__":
    main()
