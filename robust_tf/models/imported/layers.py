"""LAYERS: how each layer of Keras 2 and 3 becomes layers of this project's Keras 2 nets.

Kernels end up in Conv2D, DepthwiseConv2D and Dense layers, which the project counts and prunes. Initial values,
regularisers and constraints are left out: they matter only to another training.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tf_keras as keras

from robust_tf.models.activations import HardSigmoid, HardSwish
from robust_tf.models.channels import ChannelGather, ChannelShuffle, ChannelSlice

layers = keras.layers


class Unsupported(Exception):
    """What of a layer cannot be converted."""


@dataclass(frozen=True)
class Kind:
    """How a layer is converted.

    make: (name, config, arrays, version of Keras) -> [(Keras 2 layer, its arrays), ...], called in a row; raises
      Unsupported.
    weights: config -> (names of the trainable weights, names of the others), as in the files.
    """

    make: Callable
    weights: Callable = lambda config: ((), ())


# Activations of the same name and function in Keras 2 and 3.
SAME = (
    "linear",
    "relu",
    "tanh",
    "sigmoid",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "swish",
    "gelu",
    "exponential",
    "mish",
)
SAME += ("softmax",)
ALIASES = {"silu": "swish", "hard_silu": "hard_swish"}


def activation_name(config):
    """The name of a layer's activation, the class where it is a layer; "linear" without one."""
    value = config.get("activation") or "linear"
    if isinstance(value, dict) and isinstance(value.get("config"), dict):  # a layer
        kind = value.get("class_name")
        if kind == "Softmax" and value["config"].get("axis", -1) == -1:
            return "softmax"
        if kind not in ACTIVATION_LAYERS:
            raise Unsupported(f"an activation that is a layer, {kind}")
        return kind
    if isinstance(value, dict):
        value = value.get("config")
    if not isinstance(value, str):
        raise Unsupported("an activation that is a function of its own")
    return ALIASES.get(value, value)


def activated(name, config, version):
    """A layer for an activation that Keras 2 lacks or defines in another way; None for one of SAME."""
    function = activation_name(config)
    if function in SAME:
        return None
    if function in ACTIVATION_LAYERS:
        ((layer, _),) = ACTIVATION_LAYERS[function](name, config["activation"]["config"], [], version)
        return layer
    if function == "hard_sigmoid":
        return layers.Activation("hard_sigmoid", name=name) if version == 2 else HardSigmoid(name=name)
    others = {
        "relu6": lambda: layers.ReLU(6.0, name=name),
        "leaky_relu": lambda: layers.LeakyReLU(0.2, name=name),
        "hard_swish": lambda: HardSwish(name=name),
    }
    if function not in others:
        raise Unsupported(f"the activation {function}")
    return others[function]()


def with_activation(Layer, *options):
    """make of a layer with a kernel: its options, and an activation, which may become a layer of its own."""

    def make(name, config, arrays, version):
        check_format(config)
        function = activation_name(config)
        after = activated(f"{name}_activation", config, version)
        given = {key: config[key] for key in options if key in config}
        layer = Layer(name=name, activation=None if after else function, **given)
        if set(as_pair(config.get("kernel_size", 0))) == {1} and as_pair(config.get("strides", 1)) != (1, 1):
            return [
                subsampled(name, config),
                (Layer(name=name, **given | {"strides": 1}, activation=layer.activation), arrays),
                *([(after, [])] if after else []),
            ]
        return [(layer, arrays), *([(after, [])] if after else [])]

    return make


def subsampled(name, config):
    """The pixels that a strided 1x1 convolution sees; `training.gradient_check` says why."""
    return layers.MaxPooling2D(1, config["strides"], padding="same", name=f"{name}_subsampled"), []


def as_pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def check_format(config):
    if config.get("data_format") not in (None, "channels_last"):
        raise Unsupported("channels first")


def plain(Layer, *options):
    """make of a layer without weights: its options, where the configuration has them."""

    def make(name, config, arrays, version):
        check_format(config)
        return [(Layer(name=name, **{key: config[key] for key in options if key in config}), arrays)]

    return make


def separable(name, config, arrays, version):
    """A depthwise convolution, then a 1x1 convolution."""
    check_format(config)
    first = ("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate")
    after = activated(f"{name}_activation", config, version)
    depthwise = layers.DepthwiseConv2D(use_bias=False, name=f"{name}_depthwise", **{key: config[key] for key in first})
    pointwise = layers.Conv2D(
        config["filters"], 1, use_bias=config["use_bias"], name=name,
        activation=None if after else activation_name(config),
    )  # fmt: skip
    return [(depthwise, arrays[:1]), (pointwise, arrays[1:]), *([(after, [])] if after else [])]


def normalisation(name, config, arrays, version):
    """(x - mean) / max(deviation, 1e-7) with constants, as a Rescaling."""
    if config.get("invert"):
        raise Unsupported("invert=True")
    if config.get("mean") is not None:
        arrays = [config["mean"], config["variance"]]
    if not arrays:
        raise Unsupported("a layer that was never adapted")
    mean, variance = (np.asarray(each, np.float64) for each in arrays[:2])
    if mean.size > 1 and mean.size != mean.shape[-1]:
        raise Unsupported("a mean for each pixel")
    mean, scale = mean.ravel(), 1 / np.maximum(np.sqrt(variance.ravel()), keras.backend.epsilon())
    return [(layers.Rescaling(scale.tolist(), (-mean * scale).tolist(), name=name), [])]


def rescaling(name, config, arrays, version):
    scale, offset = (constant(config.get(key, other)) for key, other in (("scale", 1.0), ("offset", 0.0)))
    return [(layers.Rescaling(scale, offset, name=name), [])]


def batch_norm(name, config, arrays, version):
    if config.get("renorm"):
        raise Unsupported("renorm=True")
    options = {key: config[key] for key in ("momentum", "epsilon", "center", "scale")}
    axis = config["axis"][0] if isinstance(config["axis"], list) else config["axis"]
    if axis not in (-1, 3, 1):
        raise Unsupported(f"the axis {axis}")
    return [(layers.BatchNormalization(axis=axis, name=name, **options), arrays)]


def layer_norm(name, config, arrays, version):
    if config.get("rms_scaling"):
        raise Unsupported("rms_scaling=True")
    options = {key: config[key] for key in ("axis", "epsilon", "center", "scale")}
    return [(layers.LayerNormalization(name=name, **options), arrays)]


def activation(name, config, arrays, version):
    return [(activated(name, config, version) or layers.Activation(activation_name(config), name=name), [])]


def relu(name, config, arrays, version):
    most, slope = config.get("max_value"), config.get("negative_slope") or 0.0
    return [(layers.ReLU(most, slope, config.get("threshold") or 0.0, name=name), [])]


def leaky_relu(name, config, arrays, version):
    return [(layers.LeakyReLU(constant(config.get("negative_slope", config.get("alpha", 0.2))), name=name), [])]


def prelu(name, config, arrays, version):
    """max(x, 0) + a min(x, 0) with a slope a for each channel."""
    if any(size != 1 for size in arrays[0].shape[:-1]):
        raise Unsupported("a slope for each pixel, without shared_axes=[1, 2]")
    return [(layers.PReLU(shared_axes=config.get("shared_axes"), name=name), arrays)]


def reshape(name, config, arrays, version):
    shape = tuple(config["target_shape"])
    return [(layers.Flatten(name=name) if len(shape) == 1 else layers.Reshape(shape, name=name), [])]


def left_out(name, config, arrays, version):
    """A layer that changes nothing in inference mode, such as the augmentation of images, which --augment does here."""
    return []


def names(*trainable, bias=False):
    return lambda config: ((*trainable, *(["bias"] if bias and config.get("use_bias", True) else [])), ())


def norm_names(*others):
    def weights(config):
        kept = [name for name, key in (("gamma", "scale"), ("beta", "center")) if config.get(key, True)]
        return tuple(kept), others

    return weights


def adapted_names(config):
    return (), () if config.get("mean") is not None else ("mean", "variance", "count")


elu = plain(layers.ELU, "alpha")
softmax = plain(layers.Softmax, "axis")
ACTIVATION_LAYERS = {"ReLU": relu, "LeakyReLU": leaky_relu, "ELU": elu}  # which may be the activation of a layer
CONV = ("kernel_size", "strides", "padding", "dilation_rate", "use_bias")
POOL = ("pool_size", "strides", "padding")
LAYERS = {
    "Conv2D": Kind(with_activation(layers.Conv2D, "filters", "groups", *CONV), names("kernel", bias=True)),
    "DepthwiseConv2D": Kind(
        with_activation(layers.DepthwiseConv2D, "depth_multiplier", *CONV), names("depthwise_kernel", bias=True)
    ),
    "SeparableConv2D": Kind(separable, names("depthwise_kernel", "pointwise_kernel", bias=True)),
    "Dense": Kind(with_activation(layers.Dense, "units", "use_bias"), names("kernel", bias=True)),
    "BatchNormalization": Kind(batch_norm, norm_names("moving_mean", "moving_variance")),
    "LayerNormalization": Kind(layer_norm, norm_names()),
    "Normalization": Kind(normalisation, adapted_names),
    "Rescaling": Kind(rescaling),
    "Activation": Kind(activation),
    "ReLU": Kind(relu),
    "LeakyReLU": Kind(leaky_relu),
    "PReLU": Kind(prelu, names("alpha")),
    "ELU": Kind(elu),
    "Softmax": Kind(softmax),
    "MaxPooling2D": Kind(plain(layers.MaxPooling2D, *POOL)),
    "AveragePooling2D": Kind(plain(layers.AveragePooling2D, *POOL)),
    "GlobalAveragePooling2D": Kind(plain(layers.GlobalAveragePooling2D, "keepdims")),
    "GlobalMaxPooling2D": Kind(plain(layers.GlobalMaxPooling2D, "keepdims")),
    "Flatten": Kind(plain(layers.Flatten)),
    "Reshape": Kind(reshape),
    "ZeroPadding2D": Kind(plain(layers.ZeroPadding2D, "padding")),
    "Cropping2D": Kind(plain(layers.Cropping2D, "cropping")),
    "UpSampling2D": Kind(plain(layers.UpSampling2D, "size", "interpolation")),
    "Dropout": Kind(plain(layers.Dropout, "rate", "noise_shape")),
    "SpatialDropout2D": Kind(plain(layers.SpatialDropout2D, "rate")),
    "Add": Kind(plain(layers.Add)),
    "Subtract": Kind(plain(layers.Subtract)),
    "Multiply": Kind(plain(layers.Multiply)),
    "Average": Kind(plain(layers.Average)),
    "Maximum": Kind(plain(layers.Maximum)),
    "Concatenate": Kind(plain(layers.Concatenate, "axis")),
    "ChannelSlice": Kind(plain(ChannelSlice, "start", "stop")),
    "ChannelShuffle": Kind(plain(ChannelShuffle, "groups")),
    "ChannelGather": Kind(plain(ChannelGather, "places")),
    "HardSwish": Kind(plain(HardSwish)),
    "HardSigmoid": Kind(plain(HardSigmoid)),
    **dict.fromkeys(
        ("Identity", "ActivityRegularization", "GaussianNoise", "GaussianDropout", "AlphaDropout", "RandomFlip")
        + ("RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness"),
        Kind(left_out),
    ),
}


def constant(value):
    """A number, or a list of one for each channel, from JSON; raises Unsupported for anything else."""
    if isinstance(value, dict):  # an array in Keras' notation
        value = value.get("config", {}).get("value") if isinstance(value.get("config"), dict) else None
    array = np.asarray(value)
    if array.dtype.kind not in "if" or array.size != max(array.shape, default=1):
        raise Unsupported(f"the constant {str(value)[:40]}")
    return array.ravel().tolist() if array.ndim else float(array)
