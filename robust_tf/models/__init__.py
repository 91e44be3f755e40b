"""MODELS[name](input_shape, num_classes, normalisation=None, **options) -> an uncompiled Keras net of logits."""

from dataclasses import dataclass

from robust_tf.registry import Entry


@dataclass(frozen=True, kw_only=True)
class Model(Entry):
    """A net; options: flags of bin/train that it takes, as keyword arguments of the same names."""

    options: tuple = ("width",)


MODELS = {
    "lenet": Model(
        address="robust_tf.models.lenet:lenet", summary="Caffe's LeNet, for 28x28", options=("width", "conv_relu")
    ),
    "resnet8": Model(address="robust_tf.models.resnet:resnet8", summary="residual net of 8 layers, 3x3 stem"),
    "resnet14": Model(address="robust_tf.models.resnet:resnet14", summary="residual net of 14 layers, 3x3 stem"),
    "resnet20": Model(address="robust_tf.models.resnet:resnet20", summary="residual net of 20 layers, 3x3 stem"),
    "resnet34": Model(address="robust_tf.models.resnet:resnet34", summary="ResNet34 with a 3x3 stem, for 32x32"),
    "wrn_10_1": Model(address="robust_tf.models.wide_resnet:wrn_10_1", summary="wide ResNet, depth 10, width 1"),
    "wrn_16_8": Model(address="robust_tf.models.wide_resnet:wrn_16_8", summary="wide ResNet, depth 16, width 8"),
    "convnet_stl10": Model(
        address="robust_tf.models.convnet_stl10:convnet_stl10", summary="ConvNet of Gui et al., for 96x96"
    ),
    "mobilenet_v1": Model(
        address="robust_tf.models.mobilenet_v1:mobilenet_v1", summary="MobileNet, stem of stride 1, for 32x32"
    ),
    "mobilenet_v2": Model(
        address="robust_tf.models.mobilenet_v2:mobilenet_v2", summary="MobileNetV2, stem of stride 1, for 32x32"
    ),
    "mobilenet_v2_edge": Model(
        address="robust_tf.models.mobilenet_v2_edge:mobilenet_v2_edge",
        summary="mobilenet_v2 in the form that sparse kernels on ARM devices support",
    ),
    "shufflenet_v1": Model(
        address="robust_tf.models.shufflenet_v1:shufflenet_v1", summary="ShuffleNet with 3 groups, for 32x32"
    ),
    "shufflenet_v2": Model(address="robust_tf.models.shufflenet_v2:shufflenet_v2", summary="ShuffleNetV2, for 32x32"),
}
KERNEL_STARTS = {
    "keras": Entry(address="robust_tf.models.initial:keras_start", summary="as Keras' layers draw them"),
    "bounds": Entry(
        address="robust_tf.models.initial:bounds_start",
        summary="normal with standard deviation sqrt(2 pi) / inputs, so that interval bounds are as wide in all layers",
    ),
}
