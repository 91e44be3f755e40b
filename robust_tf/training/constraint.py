"""The constraint that a run's flags name, on the kernels of its net."""

import inspect
from functools import partial

import tensorflow as tf

from robust_tf.config import PROJECTING
from robust_tf.models.kernels import count, is_depthwise, kernel_layers, kernels
from robust_tf.projections import PROJECTIONS
from robust_tf.projections.low_rank import ranks
from robust_tf.refusal import Refusal


def budget(ratio, N):
    """k = round(ratio * N) kernel weights."""
    return round(ratio * N)


def depthwise(net):
    """Indices of the depthwise kernels of `net`, which constraints by layer exempt."""
    return tuple(i for i, layer in enumerate(kernel_layers(net)) if is_depthwise(layer))


def projection(config, net):
    """The projection (kernels, k) -> kernels that `config` names, with those of its options that it takes.

    Depthwise kernels [h, w, in, multiplier] are given to it as [h, w, 1, in * multiplier]: outputs last.
    """
    project = PROJECTIONS[config.projection].resolve()
    exempt = depthwise(net)
    given = {
        "floor": config.floor,
        "bits": config.bits,
        "size": config.block_size,
        "phi": config.phi,
        "delta": config.delta,
        "exempt": exempt,
    }
    project = partial(project, **{name: given[name] for name in inspect.signature(project).parameters if name in given})

    def on_kernels(W, k):
        seen = [tf.reshape(w, (*w.shape[:2], 1, -1)) if i in exempt else w for i, w in enumerate(W)]
        return [tf.reshape(z, w.shape) for z, w in zip(project(seen, k), W)]

    return on_kernels


def check_feasible(config, net):
    """Raises Refusal where no net satisfies the constraint, before any time is spent on training."""
    W = kernels(net)
    k = budget(config.ratio, count(W))
    try:
        if k < 1:
            raise ValueError("expected k >= 1; got 0")
        if config.method == "alr":
            ranks(W, k, depthwise(net))
        elif config.method in PROJECTING:
            projection(config, net)(W, k)
    except ValueError as error:
        named = f"--projection={config.projection} " if config.method in PROJECTING else ""
        raise Refusal(f"{named}--ratio={config.ratio:g}: {error}, the ratio of {count(W)} weights") from None
