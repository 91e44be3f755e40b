"""Images and labels that a program gives: what they must be, each mistake refused in one line."""

import numpy as np
import tensorflow as tf

from robust_tf.refusal import Refusal


def given(x, y, image_shape, num_classes):
    """(images uint8 or float32 [N, *image_shape], labels int64 [N]) of what a program gives; raises Refusal.

    Args:
      x: array, uint8 or floats in [0, 1].
      y: class numbers [N] or [N, 1], or one-hot rows [N, num_classes].
      image_shape: without N; sizes that are None may have any value.
    """
    x, y = as_array(x, "x", "images"), as_array(y, "y", "labels")
    check_forms(x, y, image_shape, num_classes)
    if not len(x):
        raise Refusal("x: expected at least one image; got none")
    if len(x) != len(y):
        raise Refusal(f"y: expected as many labels as images; got {len(y)} labels and {len(x)} images")
    check_values(x, y, num_classes)
    x = x if x.dtype == np.uint8 else x.astype(np.float32)
    return x, class_numbers(tf.constant(y), num_classes).numpy().astype(np.int64)


def as_array(values, name, what):
    """The values as a NumPy array; raises Refusal for anything but numbers."""
    try:
        found = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise Refusal(f"{name}: expected an array of {what}; got {error}") from None
    if found.dtype.kind not in "biuf":
        got = "text" if found.dtype.kind in "US" else type(values).__name__
        raise Refusal(f"{name}: expected an array of {what}, as numbers; got {got}")
    return found


def check_forms(x, y, image_shape, num_classes):
    """Raises Refusal unless types and shapes fit; x, y: arrays, tensors or TensorSpecs of a batch or of all images."""
    check_image_form(x, image_shape)
    if tf.TensorShape(y.shape).rank is None:
        return  # see `class_numbers`
    kind, shape = tf.as_dtype(y.dtype), tuple(y.shape)
    one_hot = len(shape) == 2 and shape[1] == num_classes
    if not (one_hot or len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise Refusal(f"y: expected labels of shape (None,) or one-hot (None, {num_classes}); got {shape}")
    if not (one_hot or kind.is_integer):
        raise Refusal(f"y: expected integer labels; got {kind.name}")


def check_image_form(x, image_shape):
    """Raises Refusal unless type and shape of x, an array, tensor or TensorSpec, are those of images."""
    kind, shape = tf.as_dtype(x.dtype), tf.TensorShape(x.shape)
    if not (kind.is_floating or kind == tf.uint8):
        raise Refusal(f"x: expected pixels as uint8, or as floats in [0, 1]; got {kind.name}")
    if shape.rank is None:
        raise Refusal(f"x: expected images of shape {(None, *image_shape)}; got tensors whose shape is not known")
    if shape.rank != 1 + len(image_shape) or any(
        None not in (size, needed) and size != needed for size, needed in zip(shape[1:], image_shape)
    ):
        raise Refusal(f"x: expected images of shape {(None, *image_shape)}; got {tuple(shape)}")


def check_values(x, y, num_classes):
    """Raises Refusal unless the arrays x and y, whose forms fit, are pixels and labels."""
    check_pixels(x)
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == num_classes:
        if not (np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all()):
            raise Refusal("y: expected one-hot labels, each row with a single 1; got other rows")
    elif y.size and not (y.min() >= 0 and y.max() < num_classes):
        raise Refusal(f"y: expected labels from 0 to {num_classes - 1}, the net's classes; got {y.min()} to {y.max()}")


def check_pixels(x):
    """Raises Refusal unless the array x, uint8 or floats, holds pixels."""
    x = np.asarray(x)
    if x.dtype != np.uint8 and x.size:
        low, high = float(x.min()), float(x.max())
        if not (low >= 0 and high <= 1):  # NaN too
            hint = "; divide by 255, or give uint8" if low >= 0 and 1 < high <= 255 else ""
            raise Refusal(f"x: expected pixels in [0, 1]; got values from {low:g} to {high:g}{hint}")


def class_numbers(y, num_classes):
    """Class numbers [B] of labels [B], [B, 1] or one-hot [B, num_classes]."""
    if y.shape.rank is None:  # of a step that Keras traced for labels of several forms
        y = tf.reshape(y, (tf.shape(y)[0], -1))
        return tf.cond(tf.shape(y)[1] == num_classes, lambda: tf.argmax(y, -1), lambda: tf.cast(y[:, 0], tf.int64))
    if y.shape.rank != 2:
        return y
    return tf.argmax(y, -1) if y.shape[1] == num_classes else tf.squeeze(y, -1)


def check_weights(sample_weight, class_weight, count, num_classes):
    """Raises Refusal unless the weights are as Keras' fit takes them, at least 0; None is no weights."""
    if sample_weight is not None:
        w = as_array(sample_weight, "sample_weight", "weights")
        if count is not None and w.shape != (count,):
            raise Refusal(f"sample_weight: expected one weight an image, of shape {(count,)}; got {w.shape}")
        if not (np.isfinite(w).all() and (w >= 0).all()):
            raise Refusal("sample_weight: expected finite weights >= 0; got others")
    if class_weight is not None:
        good = isinstance(class_weight, dict) and sorted(class_weight) == list(range(num_classes))
        if not good or not all(np.isfinite(w) and w >= 0 for w in class_weight.values()):
            raise Refusal(
                f"class_weight: expected a finite weight >= 0 for each class from 0 to {num_classes - 1}; got"
                f" {class_weight}"
            )
