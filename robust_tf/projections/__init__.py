"""PROJECTIONS[name](kernels, k, **options) -> kernels of at most k non-zeros; pure functions."""

from robust_tf.registry import Entry

PROJECTIONS = {
    "irregular": Entry("robust_tf.projections.irregular:irregular"),
    "per_layer": Entry("robust_tf.projections.per_layer:per_layer"),
    "n_of_m": Entry("robust_tf.projections.blocks:n_of_m"),
    "block": Entry("robust_tf.projections.blocks:block"),
    "codebook": Entry("robust_tf.projections.codebook:codebook"),
}
