"""The configuration of a Keras net as data -> its layers without nesting, in the order of computation.

Keras 2 and 3 write the same facts in other forms: inbound_nodes is [[["conv", 0, 0, {}]]] in Keras 2, and
[{"args": [{"class_name": "__keras_tensor__", ...}], "kwargs": {}}] in Keras 3.
"""

import itertools
from dataclasses import dataclass, field
from typing import NamedTuple

from robust_tf.refusal import Refusal

GENERATED = ("image", "input_scaling", "bgr")  # layers that a converted net may have beside those of the file
PARTS = ("activation", "depthwise", "subsampled")  # layers that a layer may become beside one of its own name
CONTAINERS = ("Functional", "Sequential", "Model")
DROPOUT = ("Dropout", "SpatialDropout2D")
UNMARKED = ("InputLayer", "SpatialDropout2D", "RandomTranslation")  # layers whose configuration lacks "trainable"


class Ref(NamedTuple):
    """The output of the layer of that name, in an argument of a call. call, output: numbers that Keras gives them."""

    layer: str
    call: int = 0
    output: int = 0


@dataclass
class Layer:
    """A layer, an operation, or a nested net.

    kind: name of the class; of an operation "op:" and the name of the function.
    calls: [(arguments, keyword arguments)], which contain Refs; of a net's input layer none.
    layers, inputs, output: of a nested net: its layers, the names of its input layers, and its output's layer.
    trainable: whether it and all nets around it are trainable.
    arrays: its weights, the trainable ones first.
    """

    name: str
    kind: str
    config: dict
    calls: list
    trainable: bool = True
    layers: list | None = None
    inputs: list = field(default_factory=list)
    output: str = ""
    arrays: list = field(default_factory=list)

    def leaves(self):
        """The layers inside, those of nested nets in their place."""
        return [leaf for layer in self.layers for leaf in (layer.leaves() if layer.layers is not None else [layer])]


def read_net(values, source):
    """The Layer of a whole net from its configuration {"class_name": ..., "config": ...}; raises Refusal."""
    try:
        if values["class_name"] not in CONTAINERS:
            raise Refusal(
                f"{source}: expected a functional or sequential Keras net; got a subclass, {values['class_name']}"
            )
        return _net(values, source, True)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError) as error:
        raise Refusal(
            f"{source}: expected the configuration of a Keras net; got {type(error).__name__}: {error}"
        ) from None


def _net(values, source, trainable, calls=()):
    config = values["config"]
    entries = config if isinstance(config, list) else config["layers"]  # a list in the oldest files
    config = {"name": "sequential"} if isinstance(config, list) else config
    trainable = trainable and config.get("trainable", True)
    net = Layer(config["name"], values["class_name"], config, list(calls), trainable, layers=[])
    net.layers = [_layer(each, source, trainable) for each in entries]
    for layer in net.layers:
        if len(layer.calls) > 1:
            raise Refusal(
                f"{source}: expected layers that are called once; got {layer.name}, called {len(layer.calls)} times"
            )
    nested = {layer.name for layer in net.layers if layer.layers is not None}
    for ref in (ref for layer in net.layers for call in layer.calls for ref in _refs_in(call)):
        # Keras 2 would look for another output for ever. A nested net may count its own definition as a call.
        if ref.output != 0 or ref.call not in ((0, 1) if ref.layer in nested else (0,)):
            raise ValueError(f"output {ref.output} of call {ref.call} of {ref.layer}, which has one")
    if net.kind == "Sequential":
        before = None
        for layer in net.layers:
            if layer.kind == "InputLayer":
                net.inputs.append(layer.name)
            else:
                layer.calls = [([Ref(before)], {})]
            before = layer.name
        if not net.inputs and net.layers:  # an input layer that Keras leaves out
            shape = net.layers[0].config.get("batch_input_shape") or config.get("build_input_shape")
            entry = Layer(f"{net.name}_input", "InputLayer", {"batch_input_shape": shape}, [], trainable)
            net.layers[0].calls = [([Ref(entry.name)], {})]
            net.layers.insert(0, entry)
            net.inputs.append(entry.name)
        net.output = net.layers[-1].name
    else:
        net.inputs = [ref[0] for ref in _refs(config["input_layers"])]
        outputs = [ref[0] for ref in _refs(config["output_layers"])]
        if len(outputs) != 1:
            raise Refusal(f"{source}: expected one output; got {len(outputs)} of {net.name}")
        net.output = outputs[0]
    if len(net.inputs) != 1:
        raise Refusal(f"{source}: expected one input; got {len(net.inputs)} of {net.name}")
    return net


def _refs(values):
    """["input", 0, 0], a list of those or a dict with those -> a list of those."""
    if isinstance(values, dict):
        return list(values.values())
    return [values] if values and isinstance(values[0], str) else values


def _layer(values, source, trainable):
    kind = values["class_name"].rpartition(">")[2]
    calls = [_call(node, kind) for node in values.get("inbound_nodes", ())]
    if kind in CONTAINERS:
        return _net({**values, "class_name": kind}, source, trainable, calls)
    config = values["config"]
    if kind == "TFOpLambda":
        kind = f"op:{config['function']}"
    # An operation of Keras 3, such as x + 3; some layers without weights lack the entry too.
    elif kind not in UNMARKED and "trainable" not in config and values.get("module") != "keras.layers":
        kind = f"op:{kind}"
    name = values.get("name") or config["name"]
    return Layer(name, kind, config, calls, trainable and config.get("trainable", True))


def _call(node, kind):
    """(arguments, keyword arguments) of a call of a layer of that kind, with Refs."""
    if isinstance(node, dict) and "args" in node:  # Keras 3
        args, kwargs = _with_refs(node["args"]), _with_refs(node["kwargs"])
        if kind in DROPOUT and kwargs.get("training") is False:
            del kwargs["training"]  # Keras 3 writes this default wherever the argument is not given
        return (args, kwargs) if args or "inputs" not in kwargs else ([kwargs.pop("inputs")], kwargs)
    parts = _refs(node)
    given = {}
    for part in parts:
        given |= part[3] if len(part) > 3 else {}
    if given.get("name", 0) is None:
        del given["name"]
    args = [part[2] if part[0] == "_CONSTANT_VALUE" else Ref(part[0], *part[1:3]) for part in parts]
    kwargs = {name: _argument(value) for name, value in given.items()}
    return args if len(args) == 1 else [args], kwargs


def _argument(value):
    """A keyword argument of Keras 2: a constant, or ["layer", 0, 0]."""
    is_ref = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
    return Ref(*value) if is_ref else value


def _with_refs(values):
    """Arguments of Keras 3, with Refs in place of its tensors."""
    if isinstance(values, dict):
        if values.get("class_name") == "__keras_tensor__":
            return Ref(values["config"]["keras_history"][0])
        return {name: _with_refs(each) for name, each in values.items()}
    return [_with_refs(each) for each in values] if isinstance(values, list) else values


@dataclass
class Step:
    """A layer of the net without nesting.

    name: unique in the net. inputs: arguments and keyword arguments of its call, with numbers of earlier steps as
    `At`. inference: whether it always runs in inference mode, as in base(x, training=False). trains: whether it always
    runs in training mode.
    """

    name: str
    layer: Layer
    args: list
    kwargs: dict
    inference: bool = False
    trains: bool = False


class At(NamedTuple):
    """The output of the step of that number; -1: the image."""

    step: int


def flat(net, source):
    """(steps, in the order of computation; the At of the output); raises Refusal for a layer called twice."""
    steps, names = [], set(GENERATED)
    return steps, _flatten(net, At(-1), steps, names, False, source)


def _flatten(net, entry, steps, names, inference, source):
    known, waiting = {net.inputs[0]: entry}, [layer for layer in net.layers if layer.kind != "InputLayer"]
    for layer in waiting:
        if not layer.calls:
            raise Refusal(f"{source}: expected layers that are called once; got {layer.name}, never called")
    while waiting:
        ready = [layer for layer in waiting if _needs(layer.calls[0]) <= known.keys()]
        if not ready:
            raise Refusal(f"{source}: expected layers that are connected; got {waiting[0].name}")
        for layer in ready:
            args, kwargs = _resolved(layer.calls[0][0], known), _resolved(layer.calls[0][1], known)
            training = kwargs.pop("training", None)
            if training not in (None, False) and layer.layers is not None:
                raise Refusal(f"{source}: expected layers in inference mode; got {layer.name} with training=True")
            if any(mask is not None for mask in _leaves(kwargs.pop("mask", None))):
                raise Refusal(f"{source}: expected layers without masks; got {layer.name}")
            fixed = inference or training is False
            if layer.layers is not None:
                (own,) = _leaves(args)
                known[layer.name] = _flatten(layer, own, steps, names, fixed, source)
                continue
            steps.append(Step(_unique(layer.name, net.name, names), layer, args, kwargs, fixed, bool(training)))
            known[layer.name] = At(len(steps) - 1)
        done = {id(layer) for layer in ready}
        waiting = [layer for layer in waiting if id(layer) not in done]
    return known[net.output]


def _leaves(values):
    """The values in lists and dicts."""
    if not isinstance(values, dict | list):
        return [values]
    return [leaf for each in (values.values() if isinstance(values, dict) else values) for leaf in _leaves(each)]


def _needs(call):
    """Names of the layers whose outputs a call takes."""
    return {ref.layer for ref in _refs_in(call)}


def _refs_in(call):
    """The Refs in the arguments of a call."""
    found, new = [], [call]
    while new:
        each = new.pop()
        if isinstance(each, Ref):
            found.append(each)
        elif isinstance(each, dict):
            new += each.values()
        elif isinstance(each, list | tuple):
            new += each
    return found


def _resolved(values, known):
    if isinstance(values, Ref):
        return known[values.layer]
    if isinstance(values, dict):
        return {name: _resolved(each, known) for name, each in values.items()}
    return [_resolved(each, known) for each in values] if isinstance(values, list) else values


def _unique(name, net, names):
    """A name that no other layer has: Keras needs unique names within one net only."""
    name = name.replace("/", "_")
    tried = itertools.chain((name, f"{net}_{name}".replace("/", "_")), (f"{name}_{i}" for i in itertools.count(1)))
    chosen, taken = next((each, parts) for each in tried if names.isdisjoint(parts := with_parts(each)))
    names |= taken
    return chosen


def with_parts(name):
    """The name of a layer, and those of the layers that it may become."""
    return {name, *(f"{name}_{part}" for part in PARTS)}
