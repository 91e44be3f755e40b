"""evaluate(config): attacks a trained run on test images and writes one record."""

import hashlib

from rich.console import Console

from robust_tf import rundir
from robust_tf.evaluation import MODES
from robust_tf.evaluation.accuracy import certified
from robust_tf.evaluation.settings import settings
from robust_tf.evaluation.subject import load_subject
from robust_tf.terminal import progress_bar


def evaluate(config):
    """Measures what the mode names, and signs that it is not to be trusted; returns the path of the JSON record."""
    subject = load_subject(config)
    asked = settings(config, subject.trained_as)
    folder = rundir.subfolder(config.workdir, "evaluation")
    record = {"mode": config.mode, **asked, "num_images": len(subject.images), "model_sha256": subject.digest}
    path = folder / f"{name_of(record)}.json"
    mode = MODES[config.mode].resolve()
    eps, norm = asked.get("eps", subject.trained_as["eps"]), asked["norm"]
    with progress_bar() as progress:
        progress.add_task("looking for signs that the net misleads attacks", total=None, unit="images")
        flags = subject.probed(subject.logits_fn, eps, norm, config.seed)
        proven = None
        if mode.certifies:
            proven = certified(subject.net, subject.images, subject.labels, eps, norm, config.batch_size)
    record |= mode.measure(subject, asked, config, path)
    record["flags"] = record.get("flags", []) + flags
    if proven is not None:
        record |= {"certified_eps": eps, "certified_accuracy": float(proven.mean())}
    rundir.write_json(path, record)
    for state in folder.glob(f"{path.stem}.*state.npz"):  # of interrupted calls
        state.unlink()
    show(record, path, mode)
    return path


def name_of(record):
    """A file name that tells the attack apart: the same command overwrites its own record only."""
    unset = lambda value: value is None or value is False  # noqa: E731
    named = {key: value for key, value in record.items() if not unset(value)}
    for key in ("mode", "num_images", "model_sha256"):
        named.pop(key, None)
    return "-".join([record["mode"], *(_part(key, value) for key, value in named.items()), f"n{record['num_images']}"])


def _part(key, value):
    """A setting in a file name: short lists and names as they are, numbers with their key, paths as a digest."""
    if key in ("attacks", "version", "norm"):
        return "-".join(value) if isinstance(value, list) else value
    if value is True:
        return key
    if isinstance(value, list | str):
        return key + hashlib.sha256(str(value).encode()).hexdigest()[:8]
    return f"{key}{value:.12g}"


def show(record, path, mode):
    """Prints the record."""
    console = Console(highlight=False, markup=False)
    mode.show(record, console)
    if "certified_accuracy" in record:
        console.print(
            f"certified by interval bounds at eps {record['certified_eps']:g}: {record['certified_accuracy']:.2%}; no"
            " attack within it does worse"
        )
    for flag in record["flags"]:
        console.print(f"suspicious: {flag}")
    console.print(f"written: {path}", soft_wrap=True)
