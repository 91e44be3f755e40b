"""A net as editable nodes, with kernels as matrices. Folds batch norm and merges consecutive linear layers."""

from dataclasses import dataclass, field, replace

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.models.batch_norm import scale_and_shift
from robust_tf.models.kernels import kernel_of

layers, activations = keras.layers, keras.activations
ELEMENTWISE = tuple(
    getattr(activations, name)
    for name in ("linear", "relu", "tanh", "sigmoid", "hard_sigmoid", "elu", "selu", "softplus", "swish", "gelu")
)
NEVER, SOMETIMES, ALWAYS = 0, 1, 2


@dataclass(frozen=True)
class Node:
    """A layer outside its net.

    name: of the layer and of its output.
    Layer, config: class and configuration of the layer.
    sources: names of the nodes that are its inputs.
    shape: of the output without the batch axis, channels last.
    weights: as Keras lists them; used where W is None.
    W: kernel [taps, in, out], float64, or None; one tap for dense layers; [taps, in, multiplier] for depthwise ones.
    b: bias [out].
    inside: whether each tap reads the image and not its zero padding: ALWAYS, SOMETIMES or NEVER [taps].
    activation: Keras function that follows W and b.
    """

    name: str
    Layer: type
    config: dict
    sources: tuple
    shape: tuple
    weights: list = field(default_factory=list)
    W: np.ndarray | None = None
    b: np.ndarray | None = None
    inside: np.ndarray | None = None
    activation: callable = activations.linear

    @property
    def depthwise(self):
        return issubclass(self.Layer, layers.DepthwiseConv2D)

    @property
    def places(self):
        """Number of output positions, each of which multiplies every weight once."""
        return int(np.prod(self.shape[:-1]))


def nodes_of(net):
    """The nodes of a functional or sequential net by name, in topological order.

    Raises ValueError where a layer is called twice, or with anything but tensors and training=False.
    """
    net = keras.Model(net.inputs, net.outputs)  # makes a sequential net functional
    nodes = {}
    for entry in net.get_config()["layers"]:
        layer, calls = net.get_layer(entry["name"]), entry["inbound_nodes"]
        plain = all(len(source) == 4 and source[3] in ({}, {"training": False}) for call in calls for source in call)
        if len(calls) > 1 or not plain:
            raise ValueError(f"expected layers that are called once, with tensors only; got {layer.name}")
        sources = tuple(source[0] for call in calls for source in call)
        shape = layer.output_shape[0] if isinstance(layer, layers.InputLayer) else layer.output_shape
        node = Node(layer.name, type(layer), layer.get_config(), sources, tuple(shape[1:]), layer.get_weights())
        nodes[node.name] = with_kernel(node, layer) if has_kernel(layer) else node
    return nodes


def has_kernel(layer):
    """Whether the layer consists of W, b and an element-wise activation. All other layers stay as they are."""
    if getattr(layer, "activation", None) not in ELEMENTWISE:
        return False
    if type(layer) is layers.Dense:
        return len(layer.input_shape) == 2
    supported = type(layer) is layers.DepthwiseConv2D or (type(layer) is layers.Conv2D and layer.groups == 1)
    return supported and layer.data_format == "channels_last"


def with_kernel(node, layer):
    kernel = np.asarray(kernel_of(layer), np.float64)
    return replace(
        node,
        W=kernel.reshape(-1, *kernel.shape[-2:]),
        b=np.asarray(layer.bias, np.float64) if layer.use_bias else np.zeros(node.shape[-1]),
        inside=np.array([ALWAYS]) if isinstance(layer, layers.Dense) else taps_inside(layer),
        activation=layer.activation,
    )


def taps_inside(layer):
    """`Node.inside` of a convolution, computed on an image of ones with one filter for each tap."""
    h, w = layer.kernel_size
    filters = tf.reshape(tf.eye(h * w), (h, w, 1, h * w))
    ones = tf.ones((1, *layer.input_shape[1:3], 1))
    read = tf.nn.conv2d(ones, filters, layer.strides, layer.padding.upper(), dilations=layer.dilation_rate).numpy()
    return np.where(read.min((0, 1, 2)) == 1, ALWAYS, np.where(read.max((0, 1, 2)) == 0, NEVER, SOMETIMES))


def affine(node):
    """(scale, shift) [channels] of a batch-norm node in inference mode."""
    weights = [np.asarray(w, np.float64) for w in node.weights]
    gamma = weights.pop(0) if node.config["scale"] else 1.0
    beta = weights.pop(0) if node.config["center"] else 0.0
    return scale_and_shift(gamma, beta, *weights, node.config["epsilon"])


def is_batch_norm(node):
    if node.config.get("renorm"):
        return False
    return node.Layer is layers.BatchNormalization and list(node.config["axis"]) == [len(node.shape)]


def readers(nodes):
    """{node name: the nodes that have it as an input}."""
    return {name: [node for node in nodes.values() if name in node.sources] for name in nodes}


def fold_batch_norm(nodes):
    """Folds each batch norm that follows linear layers into them: W' = scale W, b' = scale b + shift.

    A concatenation may lie between: each of its inputs then takes the scale and shift of its own channels.
    """
    for norm in [node for node in nodes.values() if is_batch_norm(node)]:
        read_by = readers(nodes)
        (source,) = norm.sources
        axis = nodes[source].config.get("axis")
        joined = nodes[source].Layer is layers.Concatenate and axis in (-1, len(nodes[source].shape))
        parts = nodes[source].sources if joined and read_once(source, read_by) else (source,)
        if not all(linear(nodes[part]) and read_once(part, read_by) for part in parts):
            continue
        ends = np.cumsum([nodes[part].shape[-1] for part in parts])[:-1]
        scaled = {
            part: scaled_by(nodes[part], scale, shift)
            for part, scale, shift in zip(parts, *(np.split(each, ends) for each in affine(norm)))
        }
        nodes = without({name: scaled.get(name, node) for name, node in nodes.items()}, norm)
    return nodes


def linear(node):
    return node.W is not None and node.activation is activations.linear


def read_once(name, read_by):
    """Whether the output `name` is an input of exactly one node, exactly once."""
    return sum(node.sources.count(name) for node in read_by[name]) == 1


def scaled_by(node, scale, shift):
    by_out = scale.reshape(node.W.shape[1:]) if node.depthwise else scale
    return replace(node, W=node.W * by_out, b=node.b * scale + shift)


def without(nodes, removed):
    """The nodes without `removed`; its input replaces it as an input of others."""
    (source,) = removed.sources
    rewired = {
        name: replace(node, sources=tuple(source if read == removed.name else read for read in node.sources))
        for name, node in nodes.items()
    }
    return {name: node for name, node in rewired.items() if name != removed.name}


def product(first, second):
    """Two nodes as one, W = W1 W2 and b = b1 W2 + b2. The first must be linear, the second must have one tap."""
    W, b = first.W @ second.W[0], first.b @ second.W[0] + second.b
    return replace(first, name=second.name, shape=second.shape, W=W, b=b, activation=second.activation)


def merged(nodes, first, second):
    """The nodes with the two consecutive nodes replaced by their product."""
    rest = {**nodes, second.name: product(first, second)}
    return {name: node for name, node in rest.items() if name != first.name}


def pairs(nodes):
    """Consecutive nodes (first, second) that `product` can merge; only the second may have an activation."""
    read_by = readers(nodes)
    for first in nodes.values():
        if not linear(first) or first.depthwise or not read_once(first.name, read_by):
            continue
        (second,) = read_by[first.name]
        if second.W is None or second.depthwise or len(second.W) > 1 or first.places != second.places:
            continue
        yield first, second
