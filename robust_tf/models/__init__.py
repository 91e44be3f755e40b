"""MODELS[name](input_shape, num_classes, width=1.0, **options) -> an uncompiled Keras net of logits."""

from robust_tf.registry import Entry

MODELS = {
    "lenet": Entry("robust_tf.models.lenet:lenet"),
}
