"""PROJECTIONS[name](kernels, k) -> kernels of at most k non-zeros; pure functions."""

from robust_tf.registry import Entry

PROJECTIONS = {
    "irregular": Entry("robust_tf.projections.irregular:irregular"),
}
