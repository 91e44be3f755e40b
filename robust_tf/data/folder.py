"""What is in the folder of the user's own images: a folder for each class, in DIR, or in DIR/train and in DIR/test.

A label is the index of its class folder in alphabetical order.
"""

import os
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from robust_tf.refusal import Refusal

SPLITS = ("train", "test")
TEST_FRACTION = 0.2  # of the images of a folder without train/ and test/, where the user gives none
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


class Listing(NamedTuple):
    """Files of a folder DIR, as paths below DIR with slashes.

    train, test: images of DIR/train and DIR/test; both empty where DIR is not divided.
    undivided: images of DIR/CLASS, where DIR is not divided.
    skipped: {path of a file, or of a folder where none belongs: why it is no image of a class}.
    """

    class_names: tuple
    train: tuple
    test: tuple
    undivided: tuple
    skipped: dict


def class_of(path):
    """The name of an image's class: of its folder."""
    return PurePosixPath(path).parent.name


def listed(data_dir):
    """The Listing of a folder; nothing is decoded.

    Raises Refusal unless train and test, or neither, are there, with the same classes, two or more, none empty.
    """
    if data_dir is None:
        raise Refusal(
            "--dataset=folder: expected --data_dir=DIR with DIR/CLASS, or with DIR/train/CLASS and DIR/test/CLASS;"
            " got none"
        )
    root, skipped, found = Path(data_dir), {}, {}
    sides = SPLITS if any((root / side).is_dir() for side in SPLITS) else ("",)
    classes = {side: _classes(root / side) for side in sides}
    for side, names in {**classes, "": classes.get("", SPLITS)}.items():
        skipped |= _others(root / side, PurePosixPath(side), names)
    apart = sorted(set(classes[sides[0]]) ^ set(classes[sides[-1]]))
    if apart:
        where = "train" if apart[0] in classes["train"] else "test"
        raise Refusal(
            f"--data_dir={data_dir}: expected the same classes in train and test; got {apart[0]} in {where} only"
        )
    names = classes[sides[0]]
    if len(names) < 2:
        raise Refusal(f"--data_dir={data_dir}: expected two classes or more, a folder for each; got {len(names)}")
    for side in sides:
        found[side] = []
        for name in names:
            images, others = _images(root / side / name, PurePosixPath(side) / name)
            if not images:
                raise Refusal(f"{root / side / name}: expected images ({', '.join(SUFFIXES)}); got none")
            found[side] += images
            skipped |= others
    train, test, undivided = (tuple(found.get(side, ())) for side in (*SPLITS, ""))
    return Listing(names, train, test, undivided, skipped)


def images_to_train(data_dir, test_fraction):
    """About how many images of the folder are trained on; nothing is decoded. Raises Refusal as `listed`."""
    listing, fraction = listed(data_dir), test_fraction or TEST_FRACTION
    by_class = Counter(map(class_of, listing.undivided)).values()
    return len(listing.train) or sum(count - max(round(fraction * count), 1) for count in by_class)


def _classes(folder):
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    except OSError as error:
        raise Refusal(
            f"--data_dir: expected a folder {folder} with one folder per class; got {error.strerror}"
        ) from None
    for name in names:
        if not _is_text(name):
            raise Refusal(f"--data_dir: expected names of classes in UTF-8; got {name.encode(errors='replace')}")
    return tuple(names)


def _others(folder, below, names):
    """{path of each entry of a folder beside those of `names`: why it is skipped}."""
    others = sorted(set(os.listdir(folder)) - set(names))
    return {str(below / name): "hidden" if name[0] == "." else "not in a class folder" for name in others}


def _images(folder, below):
    """(paths of the images in a class folder, {path of another entry: why it is skipped})."""
    images, others = [], {}
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path, reason = str(below / entry.name), _why_skipped(entry)
            if reason:
                others[path] = reason
            else:
                images.append(path)
    return images, others


def _why_skipped(entry):
    """Why an entry of a class folder is no image; "" for an image, as far as its name tells."""
    if not entry.is_file():
        return "not a file"
    if not _is_text(entry.name):
        return "its name is not UTF-8"
    if entry.name.startswith("."):
        return "hidden"
    return "" if Path(entry.name).suffix.lower() in SUFFIXES else "not named as an image"


def _is_text(name):
    """Whether a name can be written to a JSON file."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False
