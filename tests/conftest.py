"""Fixtures: tiny nets, a few real images, the folder of real data if there is one, and runs that tests share."""

import importlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import filelock
import numpy as np
import pytest
from hypothesis import settings

import robust_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is imported)
from robust_tf.export import benchmark_tflite

settings.register_profile("robust_tf", deadline=None)  # a busy machine may take long for an example
settings.load_profile("robust_tf")


def pytest_collection_modifyitems(items):
    """Begins with one test that needs the shared runs, which take a minute, and ends with the others: else all
    processes wait for them."""
    sharing = [item for item in items if "shared_runs" in item.fixturenames]
    items.sort(key=lambda item: 0 if item in sharing[:1] else 2 if item in sharing else 1)


@pytest.fixture
def data_dir():
    """The TensorFlow Datasets folder with real MNIST and CIFAR-10, from ROBUST_TF_DATA_DIR; skips without it."""
    folder = os.environ.get("ROBUST_TF_DATA_DIR")
    if not folder:
        pytest.skip("ROBUST_TF_DATA_DIR names no TensorFlow Datasets folder with real MNIST")
    return folder


@pytest.fixture(scope="session")
def digits():
    """The first 256 training images: x float32 [256, 28, 28, 1] in [0, 1], y [256]."""
    from robust_tf.data.digits import load

    images, labels = load("train")
    return images[:256].astype(np.float32) / 255, labels[:256]


@pytest.fixture
def small_net():
    """A convolution, batch norm and a dense layer: 6x5x2 images -> logits of 3 classes."""
    import tf_keras as keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, name="logits"),
        ]
    )


@pytest.fixture
def small_images():
    """x float32 [8, 6, 5, 2] in [0, 1], y [8] with 3 classes."""
    generator = np.random.default_rng(0)
    return generator.random((8, 6, 5, 2), np.float32), generator.integers(0, 3, 8)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """once(name, make): a folder that make(folder) fills once for all processes of the session."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker's folder is inside the folder of the session

    def made(name, make):
        folder, done = base / name, base / f"{name}.done"
        with filelock.FileLock(base / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # left by a process that failed
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def shared_runs(once):
    """A folder with real runs on the digits, as the commands leave them. A test that changes a run must copy it.

    robust          compressed by ADMM; evaluated in each mode, exported in each format, benchmarked with batches of 1
                    and 100 images
    natural         the same net, trained naturally; natural-again: with another seed
    device.json     timings of one file of `robust`, written by the benchmark script alone
    output/         the output of train, evaluate, export_tflite and benchmark for `robust`
    """
    folder = once("runs", make_runs)
    before = times(folder)
    yield folder
    changed = sorted(str(path) for path, _ in times(folder) ^ before)
    assert changed == [], "a test changed the runs that all share"


def times(folder):
    """{(path, time of its last change)} of everything in a folder."""
    return {(path, path.stat().st_mtime_ns) for path in folder.rglob("*")}


NET = ["--conv_relu", "--width=0.2", "--optimizer=adam", "--batch_size=64", "--eps=0.1"]
NET += ["--learning_rate_schedule=0:0.003,5:0.001"]
ROBUST = ["--method=admm", "--steps=2", "--ratio=0.2", "--epochs=4", "--finetune_epochs=2", "--admm_interval=4"]
NATURAL = ["--method=natural", "--epochs=3"]
FEW = ["--num_images=20", "--steps=5"]


def make_runs(folder):
    """Fills the folder of `shared_runs`."""
    with ThreadPoolExecutor() as beside:
        robust = beside.submit(make_robust, folder)
        make_natural(folder)
        robust.result()
    measure_robust(folder)


def make_robust(folder):
    """Makes the compressed run with commands in separate processes, as a user does, and stores their output."""
    workdir, export = f"--workdir={folder / 'robust'}", folder / "robust" / "export"
    (folder / "output").mkdir()
    for command, *flags in (
        ("train", *NET, *ROBUST),
        ("evaluate", "--attacks=fgsm,pgd", "--steps=10", "--restarts=2"),
        ("export_tflite", "--steps=5"),
        ("benchmark", "--runs=20"),
    ):
        program = [sys.executable, "-m", f"robust_tf.commands.{command}", workdir, *flags]
        done = subprocess.run(program, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{command} {' '.join(flags)}: exit code {done.returncode}\n{done.stderr}")
        (folder / "output" / f"{command}.txt").write_text(done.stdout)
    script = [sys.executable, "-I", benchmark_tflite.__file__, export / "model_int8.tflite", "--threads=2", "--runs=20"]
    subprocess.run([*script, f"--json={folder / 'device.json'}"], check=True)


def make_natural(folder):
    """Makes the natural runs, with the files that the report reads from every run."""
    for name, seed in (("natural", 0), ("natural-again", 1)):
        workdir = f"--workdir={folder / name}"
        run_command("train", workdir, *NET, *NATURAL, f"--seed={seed}")
        run_command("evaluate", workdir, "--attacks=fgsm,pgd", *FEW)
        run_command("export_tflite", workdir, "--formats=float32", "--num_images=20", "--steps=1")
        run_command("benchmark", workdir, "--runs=10")


def measure_robust(folder):
    """Adds to the compressed run: an evaluation in every mode, and a benchmark with batches of 100 images."""
    workdir, natural = f"--workdir={folder / 'robust'}", folder / "natural"
    run_command("benchmark", workdir, "--runs=20", "--batch=100")
    weak = ["--steps=1", "--alpha=0.001"]
    for flags in (
        ["--attacks=autoattack", "--num_images=10"],
        ["--attacks=pgd", *weak, "--num_images=60"],
        ["--mode=curve", *FEW],
        ["--mode=transfer", f"--targets={natural}", *FEW],
        ["--mode=ensemble", f"--natural={natural}", *FEW],
        ["--mode=minimal", *FEW, "--bisections=1"],
        ["--mode=generalise", *FEW],
        ["--mode=quantised", "--attacks=fgsm,pgd", *weak, "--num_images=20"],  # FGSM is stronger, a sign
        ["--mode=tflite", f"--file={folder / 'robust' / 'export' / 'model_int8.tflite'}", *FEW, "--queries=50"],
        ["--mode=certify", "--num_images=20"],
        ["--mode=pictures", "--num_images=4", "--steps=5"],
        ["--mode=usefulness", *FEW],
    ):
        run_command("evaluate", workdir, *flags)


def run_command(name, *flags):
    """Runs the command in this process."""
    before, sys.argv = sys.argv, [name, *flags]
    try:
        importlib.import_module(f"robust_tf.commands.{name}").main()
    except SystemExit as stop:
        if stop.code:
            raise RuntimeError(f"{name} {' '.join(flags)}: exit code {stop.code}") from stop
    finally:
        sys.argv = before
