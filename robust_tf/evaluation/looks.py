"""Evaluations that end when they know enough: images in a seeded random order, chunk by chunk, until a look says so."""

import numpy as np

from robust_tf.records.interval import half_width

ENDS = (20, 50, 100)  # images after the first looks; then one after each hundred


def in_order(count, seed):
    """The numbers 0 to count - 1 in the order in which images are drawn, int [count]."""
    return np.random.default_rng(seed).permutation(count)


def chunks(count, seed):
    """The numbers `in_order`, in parts that end at fixed places: int arrays."""
    order = in_order(count, seed)
    ends = [*ENDS, *range(ENDS[-1] + 100, count + 100, 100)]
    return [part for part in np.split(order, [end for end in ends if end < count]) if len(part)]


def by_looks(attack, count, config, progress=None):
    """Attacks chunk after chunk, each with all attacks; returns (numbers of the images, their joined results).

    A look after each chunk ends the evaluation where half the width of the 95 % interval of robust accuracy is at most
    `config.margin`, or where the next chunk would exceed `config.time_limit`, at the pace of the one before. The first
    chunk is always attacked. As the number of images depends on their results, the interval's 95 % are nominal.

    Args:
      attack: numbers int [n] -> results with `robust` bool [n], `total_seconds` and a function `joined`.
      count: number of images to choose from.
      progress: None or called after each chunk with (images done, robust accuracy, half the width of its interval).
    """
    done, found, seconds = [], [], 0.0
    for numbers in chunks(count, config.seed):
        pace = found[-1].total_seconds / len(done[-1]) if found else 0.0
        if config.time_limit is not None and found and seconds + pace * len(numbers) > config.time_limit:
            break
        done.append(numbers)
        found.append(attack(numbers))
        seconds += found[-1].total_seconds
        robust = np.concatenate([part.robust for part in found])
        margin = half_width(robust.mean(), len(robust))
        if progress:
            progress(len(robust), float(robust.mean()), margin)
        if config.margin is not None and margin <= config.margin:
            break
    return np.concatenate(done), found[0].joined(found)
