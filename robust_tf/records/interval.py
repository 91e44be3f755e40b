"""The 95 % interval of an accuracy (Clopper and Pearson, Biometrika 1934)."""

import msgspec
from scipy.special import betaincinv

TAIL = 0.025  # probability beyond each end


def interval(accuracy, count):
    """(low, high) of the accuracy on all images, of which `count`, drawn at random, had this accuracy.

        low = B^-1(0.025; k, n - k + 1),   high = B^-1(0.975; k + 1, n - k),   k = accuracy * n

    with B the regularised incomplete beta function; low = 0 for k = 0, high = 1 for k = n. It holds the accuracy with
    a probability of at least 95 %, whatever the accuracy.
    """
    k, n = round(accuracy * count), count
    low = float(betaincinv(k, n - k + 1, TAIL)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - TAIL)) if k < n else 1.0
    return low, high


def half_width(accuracy, count):
    """Half the width of the interval."""
    low, high = interval(accuracy, count)
    return (high - low) / 2


def intervals(record):
    """{name: interval} of all accuracies of an evaluation's record.

    These are its fields named accuracy or *_accuracy, however deep, and the values of per_attack. A name is the path
    to the number, with dots: "robust_accuracy", "per_attack.pgd", "curve.0.accuracy".
    """
    return dict(_found(msgspec.to_builtins(record), record.num_images, ()))


def _found(values, count, path):
    named = values.items() if isinstance(values, dict) else enumerate(values)
    for name, value in named:
        here = (*path, str(name))
        if isinstance(value, dict | list | tuple):
            yield from _found(value, count, here)
        elif isinstance(value, float) and (here[-1].endswith("accuracy") or "per_attack" in here[:-1]):
            yield ".".join(here), interval(value, count)
