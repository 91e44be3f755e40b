"""What is in the folder of the user's own images: a folder for each class, in DIR, or in DIR/train and in DIR/test.

A label is the index of its class folder in alphabetical order.
"""

import os
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from robust_tf.refusal import Refusal
from robust_tf.terminal import escaped, named, number_of

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
    sides = _sides(root, _folders(root))
    classes = {side: _class_names(root / side) for side in sides}
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
        raise Refusal(
            f"--data_dir={data_dir}: expected two classes or more, a folder for each; got {_instead(root / sides[0])}"
        )
    for side in sides:
        found[side] = []
        for name in names:
            folder = root / side / name
            images, others = _images(folder, PurePosixPath(side) / name)
            if not images:
                raise Refusal(f"{folder}: expected images ({', '.join(SUFFIXES)}); got {_lower_down(folder)}")
            found[side] += images
            skipped |= others
    train, test, undivided = (tuple(found.get(side, ())) for side in (*SPLITS, ""))
    return Listing(names, train, test, undivided, skipped)


def images_to_train(data_dir, test_fraction):
    """About how many images of the folder are trained on; nothing is decoded. Raises Refusal as `listed`."""
    listing, fraction = listed(data_dir), test_fraction or TEST_FRACTION
    by_class = Counter(map(class_of, listing.undivided)).values()
    return len(listing.train) or sum(count - max(round(fraction * count), 1) for count in by_class)


def _sides(root, folders):
    """The folders of DIR that hold class folders: train and test, or DIR itself, ""."""
    there = [side for side in SPLITS if side in folders]
    other_case = [name for name in folders if name not in SPLITS and name.lower() in SPLITS and _inner(root / name)]
    if other_case:
        raise Refusal(f"--data_dir={root}: expected train and test in lower case; got {', '.join(other_case)}")
    if len(there) == 1:
        hint = "" if _inner(root / there[0]) else f"; if {there[0]} is a class, its folder needs another name"
        raise Refusal(
            f"--data_dir={root}: expected folders train and test with a folder for each class, or neither; got"
            f" {named(folders)}{hint}"
        )
    return SPLITS if there else ("",)


def _class_names(folder):
    names = _folders(folder)
    for name in names:
        if escaped(name) != name:
            raise Refusal(
                f"--data_dir: expected names of classes in UTF-8, without control characters; got {escaped(name)}"
            )
    return names


def _folders(folder):
    """Names of the folders in a folder, but for hidden ones."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    except OSError as error:
        raise Refusal(
            f"--data_dir: expected a folder {folder} with one folder per class; got {error.strerror}"
        ) from None
    return tuple(names)


def _inner(folder):
    """{name of a folder in a folder: number of the images in it and below}, for those that have any."""
    counts = {name: _images_below(folder / name) for name in _folders(folder)}
    return {name: count for name, count in counts.items() if count}


def _images_below(folder):
    return sum(_suffix(name) in SUFFIXES for _, _, names in os.walk(folder) for name in names if name[0] != ".")


def _instead(folder):
    """What a folder has in place of two class folders."""
    if single := _folders(folder):
        inner = _inner(folder / single[0])
        hint = f", with the folders {named(list(inner))}: is it --data_dir={folder / single[0]}?" if inner else ""
        return f"1, {single[0]}{hint}"
    images = sum(_suffix(name) in SUFFIXES for name in os.listdir(folder))
    return f"none, but {number_of(images, 'image')} in {folder} itself" if images else "none"


def _lower_down(folder):
    """What a class folder has in place of images."""
    inner = [f"{name} ({number_of(images, 'image')})" for name, images in _inner(folder).items()]
    return f"folders with images, {named(inner)}: move these to {folder}" if inner else "none"


def _others(folder, below, names):
    """{path of each entry of a folder beside those of `names`: why it is skipped}."""
    others = sorted(set(os.listdir(folder)) - set(names))
    return {str(below / name): _why_beside(folder / name) for name in others}


def _why_beside(path):
    if path.name[0] == ".":
        return "hidden"
    if not path.is_dir():
        return "not in a class folder"
    images = _images_below(path)
    return _folder_with(images) + (" beside train and test, not used unless you move them there" if images else "")


def _folder_with(images):
    return f"a folder with {number_of(images, 'image')}" if images else "a folder without images"


def _images(folder, below):
    """(paths of the images in a class folder, {path of another entry: why it is skipped})."""
    images, others = [], {}
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path, reason = str(below / entry.name), _why_skipped(entry, below)
            if reason:
                others[path] = reason
            else:
                images.append(path)
    return images, others


def _why_skipped(entry, below):
    """Why an entry of the class folder `below` is no image; "" for an image, as far as its name tells."""
    if entry.name.startswith("."):
        return "hidden"
    if entry.is_dir():
        images = _images_below(entry.path)
        return _folder_with(images) + (f", not used unless you move them to {below}" if images else "")
    if not entry.is_file():
        return "not a file"
    if not _is_text(entry.name):
        return "its name is not UTF-8"
    return "" if _suffix(entry.name) in SUFFIXES else "not named as an image"


def _suffix(name):
    return os.path.splitext(name)[1].lower()


def _is_text(name):
    """Whether a name can be written to a JSON file."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False
