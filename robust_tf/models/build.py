"""The net that a configuration names: one of MODELS, or the user's own."""

from robust_tf.models import KERNEL_STARTS, MODELS
from robust_tf.models.own import own_net
from robust_tf.refusal import Refusal


def build(config, dataset):
    """The uncompiled Keras net of a TrainConfig for images and classes of a DataSet; raises Refusal."""
    net = built(config, dataset)
    KERNEL_STARTS[config.kernel_start].resolve()(net)
    return net


def built(config, dataset):
    """As `build`, with the kernels that Keras' layers have drawn."""
    shape, num_classes = tuple(dataset.image_shape), len(dataset.class_names)
    if config.model not in MODELS:
        return own_net(config.model, shape, num_classes)
    model = MODELS[config.model]
    options = {name: getattr(config, name) for name in model.options}
    try:
        return model(shape, num_classes, normalisation=dataset.normalisation, **options)
    except ValueError as error:  # Keras raises it for images that are too small
        negative = next((line for line in str(error).splitlines() if "dimension" in line), None)
        if negative:
            reason = negative.split(" for ")[0]
            raise Refusal(f"--model={config.model}: expected larger images; got {shape}: {reason}") from error
        raise Refusal(f"--width: expected at least one filter in each layer; got {config.width:g}: {error}") from error
