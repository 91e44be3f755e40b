"""What `RobustModel` accepts: each mistake is refused in one line."""

import contextlib
import inspect
import math

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.attacks import NORMS, STARTS
from robust_tf.data.given import as_array, check_forms, check_values, check_weights
from robust_tf.data.pixels import pixels
from robust_tf.flags.suggestions import did_you_mean, of_8_bits
from robust_tf.models.own import are_probabilities, check_logits, refusing
from robust_tf.refusal import Refusal
from robust_tf.training import LOSSES

FEW = 8  # images on which a net is seen to return logits


def check_net(net):
    """Raises Refusal unless `net` is a built tf_keras model, images -> logits."""
    refuse = refusing("net")
    if not isinstance(net, keras.Model):
        refuse("a tf_keras model", f"{type(net).__module__}.{type(net).__name__}")
    if not net.built or not net.inputs:
        refuse("a functional or sequential model with an input shape", f"{type(net).__name__} without one")
    for what, shape, axes in (("images", net.input_shape, 4), ("logits", net.output_shape, 2)):
        if not isinstance(shape, tuple) or len(shape) != axes:
            refuse(f"{what} with {axes} axes", shape)
    check_logits(net, refuse)


def check_attack(eps, norm, steps, alpha, starts, loss, adv_weight, beta, validation_eps, validation_steps):
    """Raises Refusal for arguments of `RobustModel` out of their range, or unknown names."""
    for name, value, names in (("norm", norm, NORMS), ("loss", loss, LOSSES), *(("starts", s, STARTS) for s in starts)):
        if value not in names:
            raise Refusal(f"{name}: expected one of {', '.join(names)}; got {value!r}{did_you_mean(str(value), names)}")
    for name, value in (("eps", eps), ("validation_eps", validation_eps)):
        if value is not None:
            check_radius(value, norm, name)
    for name, value in (("steps", steps), ("validation_steps", validation_steps)):
        if not (isinstance(value, int | np.integer) and value >= 0):
            raise Refusal(f"{name}: expected an integer >= 0; got {value!r}")
    for name, value, most in (("adv_weight", adv_weight, 1), ("beta", beta, math.inf), ("alpha", alpha, math.inf)):
        if not (value is None and name == "alpha") and not (is_number(value) and 0 <= value <= most):
            raise Refusal(f"{name}: expected a number in [0, {most}]; got {value!r}")


def check_radius(eps, norm="linf", name="eps"):
    """Raises Refusal unless `eps` is a radius in pixels of [0, 1]."""
    if not is_number(eps) or eps < 0 or (norm == "linf" and eps > 1):
        interval = f"[0, {'1' if norm == 'linf' else 'inf'}]"
        meant = of_8_bits(eps) if is_number(eps) else ""
        raise Refusal(f"{name}: expected a number in {interval}, in pixels of [0, 1]; got {eps!r}{meant}")


def is_number(value):
    return isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value)


def check_loss(loss):
    """Raises Refusal unless `loss` is a function: Keras' losses by name take probabilities."""
    if not callable(loss):
        raise Refusal(
            "loss: expected a function of labels and logits, such as"
            f" keras.losses.SparseCategoricalCrossentropy(from_logits=True); got {loss!r}"
        )
    if getattr(loss, "get_config", None) and loss.get_config().get("from_logits") is False:
        raise Refusal(f"loss: expected from_logits=True; got {loss.name} of probabilities")


def check_data(net, x, y, sample_weight=None, class_weight=None):
    """Raises Refusal unless (x, y) are images and labels for `net`.

    They are arrays, or x is a tf.data.Dataset or keras Sequence of batches (x, y) or (x, y, weights). Of a Sequence or
    a Dataset it looks at the first batch; of other data, such as generators, at nothing.
    """
    classes = net.output_shape[-1]
    if isinstance(x, tf.data.Dataset | keras.utils.Sequence):
        check_weights(None, class_weight, None, classes)
        x, y, sample_weight = first_batch(x)
        class_weight = None
    elif y is None and not isinstance(x, np.ndarray | tf.Tensor | list):
        return check_weights(None, class_weight, None, classes)
    if y is None:
        raise Refusal("y: expected labels; got none")
    x, y = as_array(x, "x", "images"), as_array(y, "y", "labels")
    check_forms(x, y, net.input_shape[1:], classes)
    if len(x) != len(y):
        raise Refusal(f"y: expected as many labels as images; got {len(y)} labels and {len(x)} images")
    check_values(x, y, classes)
    check_weights(sample_weight, class_weight, len(x), classes)
    if len(x) and are_probabilities(net(pixels(x[:FEW]), training=False)):
        raise Refusal("net: expected logits; got probabilities: remove the softmax or sigmoid")


def first_batch(data):
    """(x, y, weights) of the first batch; y and weights are None where it has none."""
    try:
        batch = data[0] if isinstance(data, keras.utils.Sequence) else next(iter(data.take(1)))
    except StopIteration:
        raise Refusal("x: expected a data set of batches (x, y); got an empty one") from None
    return keras.utils.unpack_x_y_sample_weight(batch)


def check_validation(net, data):
    """As `check_data`, for the validation_data of Keras' fit: a tuple of arrays, or a Dataset."""
    if isinstance(data, tuple | list) and len(data) in (2, 3):
        x, y, *weights = data
        check_data(net, x, y, *weights)
    elif data is not None:
        check_data(net, data, None)


@contextlib.contextmanager
def while_tracing(model):
    """A Refusal while Keras traces a step has one line, and the model can be used again."""
    try:
        yield
    except Refusal as refusal:
        model.train_function = model.test_function = None  # Keras would keep a half-made one
        raise Refusal(str(refusal).splitlines()[-1].strip().removeprefix("Refusal: ")) from None


def check_weighable(loss, objective):
    """Raises Refusal where `loss` or `objective.value` takes no weights."""
    for name, function, needed, keywords in (("loss", loss, 3, {}), ("objective", objective.value, 6, {"weights": 0})):
        try:
            inspect.signature(function).bind(*range(needed), **keywords)
        except TypeError:
            raise Refusal(f"sample_weight: expected a {name} that takes weights; got one that does not") from None
