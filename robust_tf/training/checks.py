"""What `RobustModel` accepts: each mistake is refused in one line."""

import contextlib
import functools
import inspect

import numpy as np
import tensorflow as tf
import tf_keras as keras

from robust_tf.attacks import NORMS, STARTS
from robust_tf.data.given import as_array, check_forms, check_image_form, check_pixels, check_values, check_weights
from robust_tf.data.pipeline import refusals
from robust_tf.data.pixels import pixels
from robust_tf.flags.kinds import listed, one_of, real, whole
from robust_tf.flags.suggestions import of_8_bits
from robust_tf.flags.text import written
from robust_tf.models.own import are_probabilities, check_logits, refusing
from robust_tf.refusal import Refusal
from robust_tf.training import LOSSES, TRAINING_ATTACKS
from robust_tf.training.constraints import WeightConstraint

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
    if None not in net.input_shape[1:]:
        check_outputs(net, np.random.default_rng(0).random((FEW, *net.input_shape[1:]), np.float32))


def check_outputs(net, x):
    """Raises Refusal where the outputs of the images x are probabilities."""
    if len(x) and are_probabilities(net(pixels(x), training=False)):
        raise Refusal("net: expected logits; got probabilities: remove the softmax or sigmoid")


KINDS = {
    "eps": real(0),
    "steps": whole(0),
    "alpha": real(0),
    "norm": one_of(NORMS),
    "starts": listed(one_of(STARTS)),
    "attack": one_of(TRAINING_ATTACKS),
    "loss": one_of(LOSSES),
    "adv_weight": real(0, 1),
    "beta": real(0),
    "box": real(0, 1, above=True),
    "validation_eps": real(0),
    "validation_steps": whole(0),
    "seed": whole(0),
    "first_step": whole(0),
}


def settings(**given):
    """The arguments of `RobustModel` named in KINDS as values. They may be text, as on the command line of bin/train.

    Raises Refusal for values out of their range and unknown names.
    """
    found = {name: parsed(name, value) for name, value in given.items()}
    for name in ("eps", "validation_eps"):
        if found["norm"] == "linf" and found[name] is not None and found[name] > 1:
            raise Refusal(
                f"{name}: expected a number or fraction in [0, 1], in pixels of [0, 1]; got"
                f" {given[name]}{of_8_bits(found[name])}"
            )
    return found


def parsed(name, value):
    if value is None and name in ("alpha", "validation_eps"):  # chosen by `RobustModel`
        return None
    if name == "starts" and not isinstance(value, str) and not len(value):
        return ()
    try:
        return KINDS[name].parse(written(value))
    except ValueError as error:
        raise Refusal(f"{name}: {error}") from None


def check_constraint(constraint):
    """Raises Refusal unless `constraint` is None or a WeightConstraint."""
    if not isinstance(constraint, WeightConstraint | None):
        raise Refusal(f"constraint: expected a training.constraints.WeightConstraint or None; got {constraint!r:.100}")


def check_teacher(teacher, net, loss):
    """Raises Refusal unless `teacher` is None, or a net of logits of the same images and classes beside an attack's
    loss: bounds of z_j - z_y say nothing of other targets."""
    if teacher is None:
        return
    if LOSSES[loss].certifies:
        raise Refusal(f"teacher: expected a loss without interval bounds with it; got {loss!r}")
    check_net(teacher)
    for what, ours, theirs in (
        ("images", net.input_shape, teacher.input_shape), ("logits", net.output_shape, teacher.output_shape),
    ):  # fmt: skip
        if ours[1:] != theirs[1:]:
            raise Refusal(f"teacher: expected {what} of shape {ours[1:]}, as the net's; got {theirs[1:]}")


def check_untaught(teacher):
    """Raises Refusal where there is a teacher: a loss of one's own takes labels."""
    if teacher:
        raise Refusal("loss: expected the default, the cross-entropy, with a teacher; got another")


def optimizer_of(given):
    """Keras' optimiser of a name, a configuration or an optimiser; raises Refusal where it is none."""
    try:
        return keras.optimizers.get(given)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise Refusal(f"optimizer: expected one of tf_keras, such as 'adam'; got {given!r:.100}: {reason}") from None


def check_unused(**given):
    """Raises Refusal where arguments of Keras' compile are given that would change nothing."""
    for name, value in given.items():
        if value is not None:
            raise Refusal(
                f"{name}: expected none, as RobustModel measures its own accuracies and losses; got {value!r:.100}"
            )


def check_loss(loss, num_classes):
    """Raises Refusal unless `loss` is a scalar of labels [B] and logits [B, K], smaller for the right labels."""
    expected = (
        "loss: expected a function of class numbers [B] and logits [B, K], such as"
        " keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
    )
    if not callable(loss) or isinstance(loss, type):
        raise Refusal(f"{expected}; got {loss!r}")
    name = getattr(loss, "name", None) or getattr(loss, "__name__", type(loss).__name__)
    if getattr(loss, "get_config", None) and loss.get_config().get("from_logits") is False:
        raise Refusal(f"loss: expected from_logits=True; got {name} of probabilities")
    y, right = tf.range(num_classes, dtype=tf.int64), 5 * tf.eye(num_classes)
    wrong = tf.roll(right, 1, -1)
    try:
        low, high = (tf.convert_to_tensor(loss(y, z)) for z in (right, wrong))
    except Exception as error:  # the user's function may raise anything
        reason = " ".join(str(error).split())[:200]
        raise Refusal(f"{expected}; got {name}, which raises {type(error).__name__}: {reason}") from None
    if low.shape.rank != 0:
        raise Refusal(f"loss: expected a scalar, the mean over the batch; got shape {tuple(low.shape)} from {name}")
    if not low + 1e-3 < high:  # NaN too
        raise Refusal(f"{expected}; got {name}, which is not smaller for the right labels")


def checked(net, x, y=None, sample_weight=None, class_weight=None, labelled=True):
    """The data x of Keras' fit, evaluate or predict. Raises Refusal unless they fit `net`.

    x: an array of all images, which is checked with y and sample_weight; or batches (x, y) or (x, y, weights) as a
      tf.data.Dataset, a keras Sequence or an iterator, whose place is taken by one that checks each batch as it is
      read; or a distributed data set, of which nothing is known before a step is traced.
    labelled: whether labels are needed.
    """
    shape, classes = net.input_shape[1:], net.output_shape[-1]
    check_weights(None, class_weight, None, classes)
    check = functools.partial(check_batch, shape, classes, labelled)
    if isinstance(x, tf.data.Dataset):
        check_specs(x, shape, classes, labelled)
        return watched(x, check)
    if isinstance(x, keras.utils.Sequence):
        return WatchedSequence(x, check)
    if hasattr(x, "__next__"):
        return WatchedIterator(x, check)
    if isinstance(x, tf.distribute.DistributedDataset):
        return x
    check((x, y, sample_weight))
    if None in shape:  # otherwise `check_net` has seen it
        check_outputs(net, x[:FEW])
    return x


def check_batch(image_shape, num_classes, labelled, batch):
    """Raises Refusal unless a batch, or all images, (x, y, weights), are images, labels and weights."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    x = as_array(x, "x", "images")
    if not labelled:
        check_image_form(x, image_shape)
        return check_pixels(x)
    if y is None:
        raise Refusal("y: expected labels; got none")
    y = as_array(y, "y", "labels")
    check_forms(x, y, image_shape, num_classes)
    if len(x) != len(y):
        raise Refusal(f"y: expected as many labels as images; got {len(y)} labels and {len(x)} images")
    check_values(x, y, num_classes)
    check_weights(sample_weight, None, len(x), num_classes)


def check_specs(data, image_shape, num_classes, labelled):
    """Raises Refusal unless the types and shapes of a tf.data.Dataset fit."""
    x, y, _ = keras.utils.unpack_x_y_sample_weight(data.element_spec)
    for name, spec in (("x", x), ("y", y)):
        if not (spec is None or isinstance(spec, tf.TensorSpec)):
            raise Refusal(f"{name}: expected a data set of tensors; got {type(spec).__name__}")
    if data.cardinality() == 0:
        raise Refusal("x: expected a data set of batches; got an empty one")
    if not labelled:
        return check_image_form(x, image_shape)
    if y is None:
        raise Refusal("y: expected labels; got none")
    check_forms(x, y, image_shape, num_classes)


def watched(data, check):
    """`data`, a tf.data.Dataset; check(batch) sees each batch, in the threads that read them."""

    def seen(*batch):
        tensors = tf.nest.flatten(batch)

        def look(*arrays):
            check(tf.nest.pack_sequence_as(batch, arrays))
            return True

        with tf.control_dependencies([tf.numpy_function(look, tensors, tf.bool)]):
            return tf.nest.map_structure(tf.identity, batch)

    return data.map(seen).prefetch(1)


class WatchedSequence(keras.utils.Sequence):
    """`data`, a Sequence; check(batch) sees each batch."""

    def __init__(self, data, check):
        self.data, self.check = data, check

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        batch = self.data[index]
        self.check(batch)
        return batch

    def on_epoch_end(self):
        self.data.on_epoch_end()


class WatchedIterator:
    """`data`, an iterator; check(batch) sees each batch."""

    def __init__(self, data, check):
        self.data, self.check = data, check

    def __iter__(self):
        return self

    def __next__(self):
        batch = next(self.data)
        self.check(batch)
        return batch


def validation(net, data):
    """As `checked`, for the validation_data of Keras' fit: a tuple of arrays, batches, or None."""
    if isinstance(data, tuple | list) and len(data) in (2, 3):
        checked(net, *data)
        return data
    return data if data is None else checked(net, data)


@contextlib.contextmanager
def one_line(model):
    """A Refusal while Keras traces a step or reads a batch has one line, and the model can be used again."""
    try:
        with refusals():
            yield
    except Refusal as refusal:
        # Keras would keep half-made ones, and the validation data.
        model.train_function = model.test_function = model.predict_function = model._eval_data_handler = None
        raise Refusal(str(refusal).splitlines()[-1].strip().removeprefix("Refusal: ")) from None


def check_weighable(loss, objective):
    """Raises Refusal where `loss` or `objective.value` takes no weights."""
    for name, function, needed, keywords in (("loss", loss, 3, {}), ("objective", objective.value, 6, {"weights": 0})):
        try:
            inspect.signature(function).bind(*range(needed), **keywords)
        except TypeError:
            raise Refusal(f"sample_weight: expected a {name} that takes weights; got one that does not") from None
