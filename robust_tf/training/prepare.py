"""PREPARATIONS[name](config, net, k) -> net: what a stage does to the net before it trains."""

import tensorflow as tf

from robust_tf.compression import atmc, hydra
from robust_tf.models.kernels import kernel_layers, kernels
from robust_tf.models.rewrite import split
from robust_tf.projections.codebook import clustered
from robust_tf.projections.low_rank import factors, ranks
from robust_tf.training.methods import FACTOR_STARTS
from robust_tf.training.projection import depthwise, projection


def prune(config, net, k):
    """Projects the kernels onto the constraint, with k weights."""
    W = kernels(net)
    for w, z in zip(W, projection(config, net)(W, k)):
        w.assign(z)
    return net


def factorise_low_rank(config, net, k):
    """Replaces layers by two thin ones each, with k kernel weights in all (ALR: Gui et al., section 3)."""
    rank = dict(zip(kernel_layers(net), ranks(kernels(net), k, config.rank_rule, depthwise(net))))
    return split(net, {layer.name: factors(layer.kernel, r) for layer, r in rank.items() if r is not None})


def factorise(config, net, k):
    """Replaces layers by ATMC's: W = (I + U')V + C."""
    return atmc.factorise(net, FACTOR_STARTS[config.factor_start].resolve())


def score(config, net, k):
    """Gives each kernel HYDRA's scores."""
    return hydra.scored(net)


def keep_scored(config, net, k):
    """Keeps the weights with the k largest scores, in plain layers."""
    return hydra.pruned(net)


def cluster(config, net, k):
    """Rounds each kernel, or factor of ATMC, to 2^bits values, zero among them."""
    for w in atmc.factors(net):
        w.assign(tf.reshape(clustered(w.numpy().ravel(), 2**config.bits - 1, rounds=100), w.shape))
    return net


PREPARATIONS = {
    "prune": prune,
    "low_rank": factorise_low_rank,
    "factorise": factorise,
    "score": score,
    "keep_scored": keep_scored,
    "cluster": cluster,
}
