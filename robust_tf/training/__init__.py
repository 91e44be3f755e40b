"""Training: RobustModel, the schedules and callbacks that drive it, and the papers' methods as lists of stages."""

from robust_tf.registry import Entry

LOSSES = {
    "mix": Entry("robust_tf.training.losses:MIX"),
    "trades": Entry("robust_tf.training.losses:TRADES"),
    "ibp": Entry("robust_tf.training.losses:IBP"),
}
