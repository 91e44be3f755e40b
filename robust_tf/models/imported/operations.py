"""Operations on tensors in a net, such as x / 255, -x or relu(x), as layers of Keras 2.

The names of operations of Keras 3 begin with a capital; those of Keras 2 are TensorFlow's.
"""

import numpy as np
import tf_keras as keras

from robust_tf.models.imported.layers import Kind, Unsupported, activation, elu, leaky_relu, relu, softmax

layers = keras.layers


def function(name_of_activation):
    """make of an activation."""

    def make(name, config, arrays, version):
        return activation(name, {"activation": name_of_activation}, arrays, version)

    return make


def negated(name, config, arrays, version):
    return [(layers.Rescaling(-1.0, name=name), [])]


def cast(name, config, arrays, version):
    """Nothing: all tensors are float32 in a converted net."""
    if config.get("dtype") not in ("float32", "float16", "bfloat16", "float64"):
        raise Unsupported(f"the type {config.get('dtype')}")
    return []


# Operations on one tensor.
FUNCTIONS = {
    **dict.fromkeys(("op:Cast", "op:cast"), Kind(cast)),
    **dict.fromkeys(("op:Negative", "op:math.negative"), Kind(negated)),
    "op:ReLU": Kind(relu),
    **dict.fromkeys(("op:LeakyRelu", "op:nn.leaky_relu"), Kind(leaky_relu)),
    "op:Elu": Kind(elu),
    **dict.fromkeys(("op:Softmax", "op:nn.softmax"), Kind(softmax)),
    **dict.fromkeys(("op:Relu", "op:nn.relu"), Kind(function("relu"))),
    **dict.fromkeys(("op:Relu6", "op:nn.relu6"), Kind(function("relu6"))),
    **dict.fromkeys(("op:Sigmoid", "op:math.sigmoid"), Kind(function("sigmoid"))),
    **dict.fromkeys(("op:Tanh", "op:math.tanh"), Kind(function("tanh"))),
    **dict.fromkeys(("op:Silu", "op:nn.silu"), Kind(function("swish"))),
    **dict.fromkeys(("op:Selu", "op:nn.selu"), Kind(function("selu"))),
    **dict.fromkeys(("op:Softplus", "op:math.softplus"), Kind(function("softplus"))),
    "op:HardSilu": Kind(function("hard_swish")),
    "op:HardSigmoid": Kind(function("hard_sigmoid")),
}
# Layers and operations that make probabilities.
PROBABILITIES = {
    **dict.fromkeys(("Softmax", "op:Softmax", "op:nn.softmax"), "softmax"),
    **dict.fromkeys(("op:Sigmoid", "op:math.sigmoid"), "sigmoid"),
}


def inverse(value):
    return (1 / np.asarray(value, np.float64)).tolist()


def negative(value):
    return (-np.asarray(value, np.float64)).tolist()


# Operation of a tensor and a constant -> (scale, offset); "c - x" for the constant on the left.
AFFINE = {
    "x + c": lambda c: (1.0, c),
    "c + x": lambda c: (1.0, c),
    "x - c": lambda c: (1.0, negative(c)),
    "c - x": lambda c: (-1.0, c),
    "x * c": lambda c: (c, 0.0),
    "c * x": lambda c: (c, 0.0),
    "x / c": lambda c: (inverse(c), 0.0),
}
OPERATIONS = {
    **dict.fromkeys(("op:Add", "op:__operators__.add", "op:math.add"), "+"),
    **dict.fromkeys(("op:Subtract", "op:math.subtract"), "-"),
    **dict.fromkeys(("op:Multiply", "op:math.multiply"), "*"),
    **dict.fromkeys(("op:TrueDivide", "op:Divide", "op:math.truediv", "op:math.divide"), "/"),
}
MERGES = {"+": layers.Add, "-": layers.Subtract, "*": layers.Multiply}
