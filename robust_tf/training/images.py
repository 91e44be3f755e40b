"""Which of the user's own images a run trains on and is tested on: chosen once, then read from the run directory.

All files are decoded once before anything is trained, so that every unreadable one is known.
"""

import hashlib
from pathlib import Path

from robust_tf.data import DATASETS, described, own_images
from robust_tf.data.decode import attempted, digest
from robust_tf.data.folder import TEST_FRACTION, class_of, listed
from robust_tf.data.image_files import missing
from robust_tf.data.split import films, split
from robust_tf.files import digest as digest_of_file
from robust_tf.records.images import OwnImages
from robust_tf.refusal import Refusal
from robust_tf.terminal import named, progress_bar, screen
from robust_tf.training.inventory import show_files, show_signs
from robust_tf.training.methods import METHODS
from robust_tf.training.rundir import RunDirectory


def to_train(config, dataset, claims=True):
    """(the DataSet with the images of the run that `config` describes, the run's OwnImages), from `described`.

    A run without a record chooses its images now, and shows the folder. A data set that is not the user's own is
    returned as it is, with None. Raises Refusal.

    claims: whether this process writes the run directory; only then it may have a record.
    """
    if not dataset.is_own:
        return dataset, None
    run = RunDirectory.for_config(config) if claims else None
    if run:
        check_classes("workdir", run, dataset)
    files = (run.images if run else None) or chosen(config, dataset)
    return own_images(dataset, files), files


def finished_without_images(config):
    """The run that `config` describes, if all its epochs are trained and its training images are no longer there.

    Otherwise None. Raises Refusal as `RunDirectory.for_config`.
    """
    if not DATASETS[config.dataset].is_own or config.data_dir is None:
        return None
    run = RunDirectory.for_config(config)
    trained = run.images is not None and run.net_path.exists() and run.has_trained(config.epochs)
    return run if trained and missing(run.images.train, config.data_dir) else None


def to_test(run, data_dir):
    """The DataSet of a finished run, with images from `data_dir`; raises Refusal where they do not fit the run.

    Test images are those that the run recorded, or those of DATA_DIR/test.
    """
    config, files = run.config, run.images
    names = run.classes if files and files.test else None  # a recorded split needs no listing
    dataset = described(config.dataset, data_dir, config.image_size, config.grey, names)
    if not dataset.is_own:
        return dataset
    if run.classes not in (None, dataset.class_names):
        raise Refusal(
            f"--data_dir={data_dir}: expected the classes of the run, {', '.join(run.classes)}; got"
            f" {', '.join(dataset.class_names)}"
        )
    if not (files and files.test):
        listing = listed(data_dir)
        if listing.undivided:
            raise Refusal(f"--data_dir={data_dir}: expected folders train and test, as the run has no split; got none")
        test = listing.test
        if config.skip_unreadable:
            _, unreadable = surveyed(data_dir, test, dataset.image_shape[-1])
            test = tuple(path for path in test if path not in unreadable)
        files = OwnImages(train=files.train if files else listing.train, test=test)
    elif not missing(files.test, data_dir) and files.test_sha256 not in (None, content(data_dir, files.test)):
        raise Refusal(f"--data_dir={data_dir}: expected the test images as the run recorded them; got changed files")
    return own_images(dataset, files)


def content(data_dir, paths):
    """SHA-256 of the names and bytes of files."""
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path} {digest_of_file(Path(data_dir, path))}\n".encode())
    return found.hexdigest()


def check_classes(flag, run, dataset):
    """Raises Refusal where the classes of `run`, of --FLAG, are known and not those of the data set."""
    if run.classes not in (None, tuple(dataset.class_names)):
        raise Refusal(
            f"--{flag}={run.path}: expected the classes of that run, {', '.join(run.classes)}; got"
            f" {', '.join(dataset.class_names)}"
        )


def check_unseen(flag, run, tested):
    """Raises Refusal where `run`, of --FLAG, has trained on one of the paths `tested`.

    What an imported net was trained on is not known.
    """
    trained = METHODS[run.config.method].stages(run.config) and run.images
    seen = sorted(set(run.images.train) & set(tested or ())) if trained else []
    if seen:
        raise Refusal(
            f"--{flag}={run.path}: expected a run that did not train on this run's test images; got {len(seen)} that it"
            f" trained on, {named(seen)}; the same --split_seed, --test_fraction and files give the same split"
        )


def chosen(config, dataset):
    """The OwnImages of a new run; raises Refusal for unreadable files, and for flags that do not fit the folder."""
    listing = listed(config.data_dir)
    for name, unset in (("test_fraction", None), ("split_seed", 0), ("group_by", None)):
        if listing.train and getattr(config, name) != unset:
            raise Refusal(f"--{name}: expected a folder without train/ and test/ with it; got {config.data_dir}")
    paths = listing.train + listing.test + listing.undivided
    digests, unreadable = surveyed(config.data_dir, paths, dataset.image_shape[-1])
    console = screen(highlight=False, markup=False)
    if unreadable and not config.skip_unreadable:
        show_files(console, listing, digests, None, unreadable)
        failed = [f"{path} ({reason})" for path, reason in unreadable.items()]
        raise Refusal(
            f"--data_dir={config.data_dir}: expected readable images; got {len(failed)} unreadable: {named(failed)};"
            " --skip_unreadable leaves such files out"
        )
    try:
        files, train, test = divided(config, dataset, listing, digests)
    except Refusal:
        show_files(console, listing, digests, None, unreadable)
        raise
    show_files(console, listing, digests, (train, test), unreadable)
    show_signs(console, config, digests, train, test)
    return files


def divided(config, dataset, listing, digests):
    """(OwnImages, training paths, test paths) of the readable files, those of `digests`."""
    if listing.train:
        train, test = (tuple(path for path in side if path in digests) for side in (listing.train, listing.test))
        files = OwnImages(train=train)
    else:
        tied = [[("pixels", found)] for found in digests.values()]
        if config.group_by:
            tied = [[*keys, ("film", film)] for keys, film in zip(tied, films(tuple(digests), config.group_by))]
        train, test = split(tuple(digests), tied, config.test_fraction or TEST_FRACTION, config.split_seed)
        files = OwnImages(train=train, test=test, test_sha256=content(config.data_dir, test))
    check_classes_left(config, dataset, train, test)
    return files, train, test


def surveyed(data_dir, paths, channels):
    """({path: digest of the decoded image}, {path of an unreadable file: reason}), both in the order of `paths`."""
    digests, unreadable = {}, {}
    with progress_bar() as progress:
        task = progress.add_task("checking the files", total=len(paths), unit="files")
        for path, found, reason in attempted(lambda path: digest(f"{data_dir}/{path}", channels), paths):
            (unreadable if reason else digests)[path] = reason or found
            progress.advance(task)
    return digests, unreadable


def check_classes_left(config, dataset, train, test):
    """Raises Refusal where all images of a class were unreadable."""
    for side, paths in (("training", train), ("test", test)):
        empty = [name for name in dataset.class_names if name not in set(map(class_of, paths))]
        if empty:
            raise Refusal(
                f"--data_dir={config.data_dir}: expected readable {side} images in each class; got none in"
                f" {named(empty)}"
            )
