"""certify(config): the certificate of a .tflite file that need not be of this project, on test images."""

from pathlib import Path

import numpy as np
from rich.table import Table

from robust_tf.certification import file
from robust_tf.data import described, own_images
from robust_tf.data.folder import listed
from robust_tf.drawing.words import percent
from robust_tf.evaluation.certificates import certified_file
from robust_tf.evaluation.modes.certify import holds_for
from robust_tf.models.imported.classes import places_of
from robust_tf.models.imported.scaling import AS_PIXELS, SCALINGS
from robust_tf.records.images import OwnImages
from robust_tf.records.record import write
from robust_tf.refusal import Refusal
from robust_tf.terminal import number_of, progress_bar, screen
from robust_tf.tflite.graph import Graph


def certify(config):
    """Prints the certificate, and writes it to --json; returns the CertifiedFile.

    Raises Refusal for a file that is damaged, is of other images or classes, or has operations without a rule.
    """
    path = Path(config.file)
    if not path.is_file():
        raise Refusal(f"{path}: expected a .tflite file; got {'a folder' if path.is_dir() else 'none'}")
    graph = Graph(path)
    images, labels, classes, shape = to_test(config, graph)
    file.check_ends(graph, path, shape, len(classes))
    if config.labels:
        labels = np.asarray(places_of(classes, config.labels)[0])[labels]
    scaling = None if config.input_scaling == AS_PIXELS else SCALINGS[config.input_scaling]
    if scaling and scaling.channels not in (None, shape[-1]):
        raise Refusal(f"--input_scaling={config.input_scaling}: expected a file for 3 channels; got {shape[-1]}")
    with progress_bar() as progress:
        task = progress.add_task(path.name, total=len(images), unit="images")
        found = certified_file(
            path, images, labels, config.eps, config.batch_size, scaling=scaling,
            advance=lambda count: progress.advance(task, count),
        )  # fmt: skip
    if found.certificate.reason:
        raise Refusal(f"{path}: expected a file that can be certified; got one that cannot: {found.certificate.reason}")
    show(config, path, found)
    if found.correct <= np.bincount(labels).max():
        print(
            "warning: no better than a guess; --input_scaling and --labels say which pixels and classes the file means"
        )
    if config.json:
        write(Path(config.json), found)
    return found


def to_test(config, graph):
    """(images, labels, names of the classes, shape of an image) of the CertifyConfig's data set.

    Images of a folder get the size and the channels of the file's first input.
    """
    size = graph.shape(graph.inputs[0])[1:] if graph.inputs else ()
    if config.dataset == "folder" and not (len(size) == 3 and size[-1] in (1, 3)):
        raise Refusal(f"{config.file}: expected an input [1, height, width, 1 or 3]; got {[1, *size]}")
    dataset = described(config.dataset, config.data_dir, tuple(size[:2]), size[-1:] == [1])
    if dataset.is_own:
        listing = listed(config.data_dir)
        if not listing.test:
            print(f"{config.data_dir} has no folder test: all its images are taken, also what the file was trained on")
        dataset = own_images(dataset, OwnImages(train=(), test=listing.test or listing.undivided))
    images, labels = dataset.load("test", config.data_dir)
    chosen = slice(config.num_images)
    return images[chosen], labels[chosen], tuple(dataset.class_names), tuple(dataset.image_shape)


def show(config, path, found):
    certificate, console = found.certificate, screen(highlight=False, markup=False)
    table = Table(
        "correct", "certified at eps 0", f"certified at eps {config.eps:g}", "seconds",
        title=f"{path.name}, {number_of(certificate.num_images, 'test image')}",
        caption=holds_for(certificate),
    )  # fmt: skip
    counts = found.correct, certificate.certified_clean, certificate.certified
    shares = [percent(count / certificate.num_images, certificate.num_images) for count in counts]
    table.add_row(*shares, f"{certificate.seconds:.1f}")
    console.print(table)
