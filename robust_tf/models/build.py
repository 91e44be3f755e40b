"""The net that a configuration names: one of MODELS, or the user's own."""

from robust_tf.models import MODELS
from robust_tf.models.own import own_net
from robust_tf.refusal import Refusal


def build(config, dataset):
    """The uncompiled Keras net of a TrainConfig for images and classes of a DataSet; raises Refusal."""
    shape, num_classes = tuple(dataset.image_shape), len(dataset.class_names)
    if config.model not in MODELS:
        return own_net(config.model, shape, num_classes)
    options = {"conv_relu": True} if config.conv_relu else {}
    try:
        return MODELS[config.model](
            shape, num_classes, width=config.width, normalisation=dataset.normalisation, **options
        )
    except ValueError as error:  # Keras', of images that a layer leaves nothing of
        negative = next((line for line in str(error).splitlines() if "dimension" in line), None)
        if negative:
            reason = negative.split(" for ")[0]
            raise Refusal(f"--model={config.model}: expected larger images; got {shape}: {reason}") from error
        raise Refusal(f"--width: expected one that leaves each layer filters; got {config.width:g}: {error}") from error
