"""The projection that the flags of a run name, for the kernels of its net."""

from functools import partial

import tensorflow as tf

from robust_tf.models.kernels import count, is_depthwise, kernel_layers, kernels, shortcuts
from robust_tf.projections import PROJECTIONS
from robust_tf.projections.low_rank import ranks
from robust_tf.refusal import Refusal
from robust_tf.training.methods import METHODS


def budget(ratio, N):
    """k = round(ratio * N) kernel weights."""
    return round(ratio * N)


def depthwise(net):
    """Indices of the depthwise kernels of `net`, which layer-wise constraints exempt."""
    return tuple(i for i, layer in enumerate(kernel_layers(net)) if is_depthwise(layer))


def projection(config, net):
    """The projection (kernels, k) -> kernels that `config` names, with its options.

    It gets depthwise kernels [h, w, in, multiplier] as [h, w, 1, in * multiplier], with outputs last.
    """
    entry, exempt = PROJECTIONS[config.projection], depthwise(net)
    options = {name: getattr(config, name) for name in entry.options}
    options |= {"exempt": exempt} if entry.exempts_depthwise else {}
    options |= {"pooled": shortcuts(net)} if entry.pools_shortcuts else {}
    project = partial(entry.resolve(), **options)

    def on_kernels(W, k):
        outputs_last = [tf.reshape(w, (*w.shape[:2], 1, -1)) if i in exempt else w for i, w in enumerate(W)]
        return [tf.reshape(z, w.shape) for z, w in zip(project(outputs_last, k), W)]

    return on_kernels


def check_feasible(config, net):
    """Raises Refusal where no weights satisfy the constraint."""
    W, projects = kernels(net), METHODS[config.method].projects
    k = budget(config.ratio, count(W))
    try:
        if k < 1:
            raise ValueError("expected k >= 1; got 0")
        if projects:
            projection(config, net)(W, k)
        elif "rank_rule" in METHODS[config.method].options:
            ranks(W, k, config.rank_rule, depthwise(net))
    except ValueError as error:
        named = f"--projection={config.projection} " if projects else ""
        raise Refusal(f"{named}--ratio={config.ratio:g}: {error} (k = ratio * {count(W)} weights)") from None
