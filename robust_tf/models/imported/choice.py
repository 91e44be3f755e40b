"""Which pixels and which order of classes an imported net expects: what scores best on training images."""

from typing import NamedTuple

import numpy as np
import scipy.special

from robust_tf.data.pixels import mapped, pixels
from robust_tf.models.imported.layers import LAYERS, Unsupported, constant, left_out
from robust_tf.models.imported.operations import AFFINE, FUNCTIONS, OPERATIONS, cast
from robust_tf.models.imported.scaling import SCALINGS

IMAGES = 1000
FIRST_LAYER = "as its first layer says"
SLOPE = 0.1  # a first layer with a smaller slope expects pixels up to 255


class Choice(NamedTuple):
    """scaling: name in SCALINGS. accuracies: {name: accuracy on `images` training images} of all that were tried.
    alike: names of those whose accuracies are equal within `margin`, the chosen one among them. reason: why it is
    taken, of those or without images. order: for each output the class that it stands for, where that is clearly not
    its own; None otherwise. frequent: share of the most frequent class."""

    scaling: str
    accuracies: dict
    images: int
    alike: tuple = ()
    reason: str = ""
    order: tuple | None = None
    frequent: float = 0.0

    @property
    def at_chance(self):
        """Whether even the best accuracy is that of guessing, within three standard deviations."""
        return bool(self.accuracies) and max(self.accuracies.values()) <= chance(self.frequent, self.images)


def chance(p, images):
    """p, the accuracy of always naming the most frequent class, and three of its standard deviations."""
    return p + 3 * (p * (1 - p) / images) ** 0.5


def margin(images):
    """The difference within which accuracies on so many images are called equal."""
    return images**-0.5


def choose(net, names, images, labels, declared=None):
    """The Choice among the scalings `names`.

    Args:
      net: Keras net, pixels as it expects them -> logits.
      images, labels: uint8 training images, of which up to IMAGES are used.
      declared: the scaling that the net's first layer needs, if that says it; preferred where accuracies are equal
        within `margin`, or none is better than guessing; otherwise the least cross-entropy is.
    """
    every = max(1, len(images) // IMAGES)
    images, labels = images[::every][:IMAGES], np.asarray(labels)[::every][:IMAGES]
    K, n = net.output_shape[-1], len(images)
    frequent = float(np.bincount(labels).max() / n)
    accuracies, scores, orders, losses = {}, {}, {}, {}
    for name in names:
        z = mapped(lambda x, name=name: logits(net, name, x), images, 100)
        predicted = z.argmax(-1)
        losses[name] = float(np.mean(scipy.special.logsumexp(z, -1) - z[np.arange(n), labels]))
        accuracies[name] = float(np.mean(predicted == labels))
        table = np.histogram2d(predicted, labels, bins=[range(K + 1)] * 2)[0]  # [output, class]
        order = tuple(int(each) for each in table.argmax(1))
        matched = float(table.max(1).sum() / n) if sorted(order) == list(range(K)) else 0.0
        clear = matched > max(accuracies[name] + 0.1, chance(frequent, n) + 0.1)
        orders[name], scores[name] = (order, matched) if clear else (None, accuracies[name])
    best = max(scores, key=scores.get)
    alike = tuple(name for name in names if scores[name] >= scores[best] - margin(n))
    # Rectified nets classify nearly the same at every scale, but are certain of their errors at a wrong one.
    guesses = scores[best] <= chance(frequent, n)
    if declared in alike or (declared in names and guesses):
        preferred, reason = declared, FIRST_LAYER
    elif guesses:
        preferred, reason = names[0], "as none is better than guessing"
    else:
        preferred, reason = min(alike, key=losses.get), "as its cross-entropy is least"
    return Choice(preferred, accuracies, n, alike, reason, orders[preferred], frequent)


def logits(net, name, images):
    """The net's logits for uint8 images in this scaling, [B, K]."""
    x = pixels(images)
    for layer in SCALINGS[name].layers():
        x = layer(x)
    return net(x, training=False).numpy()


def possible(channels):
    """Names of the scalings for images with so many channels."""
    return [name for name, each in SCALINGS.items() if each.channels in (None, channels)]


def declared(source):
    """The scaling that a leading Rescaling or Normalization of the net needs; None without one."""
    slope, found = 1.0, False
    for step in source.steps:
        kind, layer = step.layer.kind, step.layer
        if any(kind in known and known[kind].make in (left_out, cast) for known in (LAYERS, FUNCTIONS)):
            continue
        try:
            if kind in ("Rescaling", "Normalization"):
                ((rescaling, _),) = LAYERS[kind].make(step.name, layer.config, layer.arrays, source.version)
                factor = rescaling.scale
            elif kind in OPERATIONS:
                factor = AFFINE[f"x {OPERATIONS[kind]} c"](constant([*step.args, *step.kwargs.values()][1]))[0]
            else:
                break
        except (Unsupported, KeyError, IndexError, TypeError):
            break
        slope, found = slope * np.abs(factor).max(), True
    return ("0..255" if slope < SLOPE else "0..1") if found and slope != 1 else None
