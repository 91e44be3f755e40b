"""PROJECTIONS[name](kernels, k, **options) -> kernels of at most k weights; pure functions.

Kernels have their outputs last, [..., out]; k counts non-zeros, for low_rank the weights of the thin factors.
"""

from robust_tf.registry import Entry

PROJECTIONS = {
    "irregular": Entry("robust_tf.projections.irregular:irregular"),
    "per_layer": Entry("robust_tf.projections.per_layer:per_layer"),
    "funnel": Entry("robust_tf.projections.funnel:funnel"),
    "redundant": Entry("robust_tf.projections.redundant:redundant"),
    "channel": Entry("robust_tf.projections.channel:channel"),
    "low_rank": Entry("robust_tf.projections.low_rank:low_rank"),
    "n_of_m": Entry("robust_tf.projections.blocks:n_of_m"),
    "block": Entry("robust_tf.projections.blocks:block"),
    "codebook": Entry("robust_tf.projections.codebook:codebook"),
}
