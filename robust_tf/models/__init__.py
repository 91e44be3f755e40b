"""MODELS[name](input_shape, num_classes, width=1.0, **options) -> an uncompiled Keras net of logits."""

from robust_tf.registry import Entry

MODELS = {
    "lenet": Entry("robust_tf.models.lenet:lenet"),
    "resnet8": Entry("robust_tf.models.resnet:resnet8"),
    "resnet14": Entry("robust_tf.models.resnet:resnet14"),
    "resnet20": Entry("robust_tf.models.resnet:resnet20"),
    "resnet34": Entry("robust_tf.models.resnet:resnet34"),
    "wrn_10_1": Entry("robust_tf.models.wide_resnet:wrn_10_1"),
    "wrn_16_8": Entry("robust_tf.models.wide_resnet:wrn_16_8"),
    "convnet_stl10": Entry("robust_tf.models.convnet_stl10:convnet_stl10"),
    "mobilenet_v1": Entry("robust_tf.models.mobilenet_v1:mobilenet_v1"),
    "mobilenet_v2": Entry("robust_tf.models.mobilenet_v2:mobilenet_v2"),
    "mobilenet_v2_edge": Entry("robust_tf.models.mobilenet_v2_edge:mobilenet_v2_edge"),
    "shufflenet_v1": Entry("robust_tf.models.shufflenet_v1:shufflenet_v1"),
    "shufflenet_v2": Entry("robust_tf.models.shufflenet_v2:shufflenet_v2"),
}
