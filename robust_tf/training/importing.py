"""import_net: FILE -> a Keras 2 net of logits for pixels in [0, 1], and what was found out about it."""

import hashlib
from pathlib import Path

from robust_tf import files
from robust_tf.models.imported.choice import FIRST_LAYER, Choice, choose, declared, margin, possible
from robust_tf.models.imported.classes import (
    classes,
    in_order,
    places_of,
    two_classes,
    with_new_last_layer,
    without_probabilities,
)
from robust_tf.models.imported.convert import converted
from robust_tf.models.imported.files import read
from robust_tf.models.imported.original import check_equal
from robust_tf.models.imported.scaling import AUTO, SCALINGS
from robust_tf.models.own import check
from robust_tf.records.imported import Imported
from robust_tf.refusal import Refusal


def import_net(path, image_shape, class_names, images, labels, *, scaling=AUTO, names=None, replace_last=True):
    """(net, its Imported record, lines for the user); raises Refusal, one line, where it cannot be converted.

    Args:
      path: a file or folder, see `files`.
      image_shape, class_names: of the data.
      images, labels: uint8 training images.
      scaling: name in SCALINGS, or AUTO.
      names: file with the names of the net's outputs, or None.
      replace_last: whether a net of another number of classes gets a new last layer; otherwise it is refused.
    """
    source, difference = equal_source(path, image_shape)
    lines = [f"{path}: a net of Keras {source.version}, converted; largest difference of logits {difference:.1e}"]
    if source.dtype.is_integer:
        lines.append(f"{path}: its input, {source.dtype.name}, becomes float32, as attacks change pixels by fractions")
    K, found, listed = len(class_names), classes(source), None
    if found == 1:
        source, found = two_classes(source), 2
        lines.append(f"{path}: one logit, taken for that of the second class, {class_names[1]}")
    if names:
        places, listed = places_of(class_names, names)
        if len(places) != found:
            raise Refusal(f"--labels={names}: expected a name for each of the net's {found} outputs; got {len(places)}")
        source = in_order(source, places)
    new_last_layer = found != K
    if new_last_layer and not replace_last:
        raise Refusal(f"--model={path}: expected a net of {K} classes; got one of {found}")
    choice = chosen(source, image_shape, scaling, images, labels, new_last_layer)
    if new_last_layer:
        source = with_new_last_layer(source, K)
        lines.append(f"{path}: a net of {found} classes; its last layer is new, for {K} classes")
    net = converted(source, image_shape, SCALINGS[choice.scaling].layers())
    check(net, path, image_shape, K)
    lines += reported(choice, scaling, class_names, listed)
    frozen = tuple(layer.name for layer in net.layers if layer.weights and not layer.trainable)
    record = Imported(
        file=str(path),
        sha256=digest(path),
        keras=source.version,
        difference=difference,
        input_scaling=choice.scaling,
        accuracies=choice.accuracies,
        num_images=choice.images,
        labels=None if listed is None else tuple(listed),
        new_last_layer=new_last_layer,
        frozen=frozen,
    )
    return net, record, lines


def equal_source(path, image_shape):
    """(Source whose net gives logits, difference): read, converted and compared with the file's own net."""
    source = read(path)
    check_images(source, image_shape)
    logits, head = without_probabilities(source)
    if head == "sigmoid" and classes(logits) > 1:
        raise Refusal(
            f"--model={path}: expected a softmax or one logit, as each image has one class; got a sigmoid for each of"
            f" {classes(logits)} classes"
        )
    net = converted(logits, image_shape)
    if len(net.output_shape) != 2:
        raise Refusal(f"--model={path}: expected outputs [classes] for an image; got {net.output_shape[1:]}")
    return logits, check_equal(source, net, head)


def check_images(source, image_shape):
    """Raises Refusal where the net takes other images than the data's."""
    if any(size not in (None, ours) for size, ours in zip(source.image, image_shape)):
        height, width, channels = source.image
        hint = ""
        if channels == image_shape[-1] and None not in (height, width):
            hint = f": with --dataset=folder, --image_size={height}x{width} scales the images"
        raise Refusal(
            f"--model={source.path}: expected images {tuple(image_shape)}; got a net for {source.image}{hint}"
        )


def chosen(source, image_shape, scaling, images, labels, other_classes):
    """The Choice of the scaling; raises Refusal where images cannot tell it."""
    names, known, reason = possible(image_shape[-1]), declared(source), FIRST_LAYER
    if scaling not in (AUTO, *names):
        raise Refusal(f"--input_scaling={scaling}: expected images of 3 channels with it; got {image_shape[-1]}")
    if source.dtype.is_integer:
        names, known, reason = ["0..255"], "0..255", f"as its input is {source.dtype.name}"
        if scaling not in (AUTO, known):
            raise Refusal(
                f"--input_scaling: expected {known} with a net whose input is {source.dtype.name}; got {scaling}"
            )
    if other_classes:
        if scaling == AUTO and known is None:
            raise Refusal(
                f"--input_scaling: expected one of {', '.join(names)} with a net of other classes, whose accuracy"
                " cannot be measured; got auto"
            )
        return Choice(known if scaling == AUTO else scaling, {}, 0, reason=reason)
    tried = names if scaling == AUTO else [scaling]
    return choose(converted(source, image_shape), tried, images, labels, known)


def reported(choice, scaling, class_names, listed):
    """Lines about the scaling and the order of the classes."""
    measured = ", ".join(f"{name} {accuracy:.1%}" for name, accuracy in choice.accuracies.items())
    on = f" (accuracy on {choice.images:,} training images: {measured})" if measured else f", {choice.reason}"
    lines = [f"--input_scaling={choice.scaling}{'' if scaling == choice.scaling and not measured else on}"]
    if len(choice.alike) > 1:
        lines.append(
            f"--input_scaling: {', '.join(choice.alike)} score alike, within {margin(choice.images):.1%}:"
            f" {choice.scaling} is taken, {choice.reason}; set the flag if the net was trained on other pixels"
        )
    if choice.order:
        named = ", ".join(class_names[each] for each in choice.order)
        lines.append(f"warning: the net's outputs seem to be {named}, in this order: write it to a file, --labels=FILE")
    elif choice.at_chance:
        hint = "" if listed else ": are its classes the data's, in their order? --labels=FILE says which they are"
        lines.append(f"warning: the net is no better than guessing on training images{hint}")
    return lines


def digest(path):
    """SHA-256 of a file, or of all files of a folder with their names."""
    path = Path(path)
    if path.is_file():
        return files.digest(path)
    found = hashlib.sha256()
    for each in sorted(path.rglob("*")):
        if each.is_file():
            found.update(f"{each.relative_to(path)} {files.digest(each)}\n".encode())
    return found.hexdigest()
