"""Refuses a configuration that Keras would answer by running or importing code, before Keras sees it.

Keras' safe mode covers only the .keras format, and imports any module that a configuration names.
"""

from robust_tf.refusal import Refusal

# Modules that a configuration may name, and the names in them; None: all names.
MODULES = {
    None: None,
    "keras": ("Sequential", "Functional", "Model", "DTypePolicy"),
    "keras.layers": None,
    "keras.initializers": None,
    "keras.regularizers": None,
    "keras.constraints": None,
    "keras.optimizers": None,
    "keras.losses": None,
    "keras.metrics": None,
    "keras.mixed_precision": ("Policy",),
    "builtins": ("function",),
    "keras.src.models.functional": ("Functional",),
    "keras.src.models.sequential": ("Sequential",),
    "keras.src.engine.functional": ("Functional",),
    "tf_keras.src.engine.functional": ("Functional",),
    "keras.src.ops.numpy": None,
    "keras.src.ops.nn": (
        "Relu",
        "Relu6",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Silu",
        "Sigmoid",
        "Softplus",
        "Softmax",
        "HardSilu",
        "HardSigmoid",
    ),
    "keras.src.ops.core": ("Cast",),
    "keras.src.activations.activations": ("ReLU",),
    "tf_keras.src.layers.core.tf_op_layer": ("TFOpLambda",),
    "keras.src.layers.core.tf_op_layer": ("TFOpLambda",),
    "robust_tf.models.channels": None,
    "robust_tf.models.activations": None,
}
OPERATIONS = ("keras.src.ops.", "keras.src.activations.", "keras.src.layers.core.tf_op_layer")  # names of modules
CODE = ("Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer")


def check_safe(values, source):
    """Raises Refusal where JSON values name code: a Lambda, or a class or function of a module outside Keras."""
    if isinstance(values, list):
        for each in values:
            check_safe(each, source)
    if not isinstance(values, dict):
        return
    name, module = values.get("class_name"), values.get("module")
    config = values.get("config")
    layer = config.get("name") if isinstance(config, dict) else None
    if name in CODE:
        raise Refusal(f"{source}: expected a net without code; got {layer or 'a function'} ({name})")
    known = MODULES.get(module, ()) if module is None or isinstance(module, str) else ()
    if known is not None and name not in known:
        if str(module).removeprefix("tf_").startswith(OPERATIONS):
            raise Refusal(f"{source}: expected layers that can be converted; got {layer} (the operation {name})")
        raise Refusal(f"{source}: expected layers of Keras; got {name!r} of the module {module!r}")
    for each in values.values():
        check_safe(each, source)
