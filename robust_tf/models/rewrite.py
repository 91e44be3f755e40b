"""Replacing layers of a net, by editing the configuration of its functional form."""

import copy

import tf_keras as keras


def split(net, factors):
    """A net in which some layers are replaced by two thin layers in a row: W = left @ right.

    A convolution becomes one with the same window, r filters and no bias, then a 1x1 convolution; a dense layer becomes
    two dense layers. The second layer keeps the name, bias and activation.

    Args:
      net: functional or sequential Keras net.
      factors: layer name -> (left [h * w * in, r] or [in, r], right [r, out]) of its kernel's matrix [inputs, outputs].

    Returns:
      Keras net, of the same function if left @ right is the kernel; it shares no variables with `net`.
    """
    net = keras.Model(net.inputs, net.outputs, name=net.name)  # functional, even if it is sequential
    config = copy.deepcopy(net.get_config())
    layers = []
    for layer in config["layers"]:
        if layer["name"] in factors:
            first, second = _halves(layer, factors[layer["name"]][0].shape[1])
            layers.append(first)
            layer = second
        layers.append(layer)
    thin = keras.Model.from_config({**config, "layers": layers})
    for layer in net.layers:
        if layer.name not in factors:
            thin.get_layer(layer.name).set_weights(layer.get_weights())
            continue
        left, right = factors[layer.name]
        first, second = thin.get_layer(f"{layer.name}_thin"), thin.get_layer(layer.name)
        first.set_weights([left.reshape(first.kernel.shape)])
        second.set_weights([right.reshape(second.kernel.shape), *layer.get_weights()[1:]])
    return thin


def _halves(layer, rank):
    """The configurations of the two layers that replace one."""
    first, second = copy.deepcopy(layer), copy.deepcopy(layer)
    name = f"{layer['name']}_thin"
    first["name"] = first["config"]["name"] = name
    first["config"].update({"activation": "linear", "use_bias": False})
    if layer["class_name"] == "Dense":
        first["config"]["units"] = rank
    else:
        first["config"]["filters"] = rank
        second["config"].update({"kernel_size": (1, 1), "strides": (1, 1), "dilation_rate": (1, 1)})
    second.pop("build_config", None)  # its input shape has changed
    second["inbound_nodes"] = [[[name, i, 0, {}]] for i in range(len(layer["inbound_nodes"]))]
    return first, second
