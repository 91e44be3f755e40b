"""Prints the folder of the user's own images, by class, and what in it may mislead."""

from collections import Counter, defaultdict

from rich.table import Column, Table

from robust_tf.data.folder import class_of
from robust_tf.terminal import escaped, number_of


def show_files(console, listing, digests, sides, unreadable):
    """Prints a table of the classes, and each file that is skipped or unreadable, with the reason.

    sides: (training paths, test paths), or None where they are not known.
    """
    counts = {"images": digests}
    counts |= {"training": sides[0], "test": sides[1]} if sides else {}
    counts |= {"skipped": listing.skipped, "unreadable": unreadable}
    by_class = {what: Counter(map(class_of, paths)) for what, paths in counts.items()}
    table = Table("class", *(Column(what, justify="right") for what in counts))
    for name in listing.class_names:
        table.add_row(name, *(f"{counted[name]:,}" for counted in by_class.values()))
    if len(listing.class_names) > 1:
        table.add_section()
        table.add_row("all", *(f"{len(paths):,}" for paths in counts.values()))
    console.print(table)
    for what, paths in (("skipped", listing.skipped), ("unreadable", unreadable)):
        for path, reason in paths.items():
            console.print(f"{what}: {escaped(path)}: {reason}", soft_wrap=True)


def show_signs(console, config, digests, train, test):
    """Prints what may mislead: classes of different size, equal images with different labels or on both sides."""
    counted = Counter(map(class_of, train)).most_common()
    (largest, most), (smallest, least) = counted[0], counted[-1]
    if most > least:
        advice = "" if config.class_weights == "balanced" else "; --class_weights=balanced gives them equal weight"
        console.print(
            f"imbalance: {largest} has {most / least:.1f} times the training images of {smallest}{advice}",
            soft_wrap=True,
        )
    alike = defaultdict(list)
    for path, found in digests.items():
        alike[found].append(path)
    examples = [list({class_of(path): path for path in paths}.values()) for paths in alike.values()]
    both = [paths for paths in examples if len(paths) > 1]
    if both:
        console.print(
            f"warning: {number_of(len(both), 'image')} in several classes, by the pixels, such as"
            f" {' and '.join(map(escaped, both[0][:2]))}",
            soft_wrap=True,
        )
    trained = {digests[path]: path for path in train}
    leaked = [path for path in test if digests[path] in trained]
    if leaked:
        console.print(
            f"warning: {number_of(len(leaked), 'test image')} with the pixels of training images, such as"
            f" {escaped(leaked[0])} and {escaped(trained[digests[leaked[0]]])}",
            soft_wrap=True,
        )
