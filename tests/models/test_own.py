"""The user's own net: built where it can be trained, refused in one line where it cannot."""

import sys

import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.models.own import import_own, own_net
from robust_tf.refusal import Refusal

layers = keras.layers


def good(input_shape, num_classes):
    return keras.Sequential(
        [keras.Input(input_shape), layers.Conv2D(4, 3), layers.ReLU(), layers.Flatten(), layers.Dense(num_classes)]
    )


def probabilities(input_shape, num_classes):
    net = good(input_shape, num_classes)
    return keras.Model(net.inputs, layers.Softmax()(net.output))


def too_many_classes(input_shape, num_classes):
    return good(input_shape, num_classes + 1)


def other_images(input_shape, num_classes):
    return good((9, 9, 1), num_classes)


def nested(input_shape, num_classes):
    return keras.Sequential([keras.Input(input_shape), good(input_shape, num_classes)])


def without_kernels(input_shape, num_classes):
    image = keras.Input(input_shape)
    return keras.Model(image, layers.GlobalAveragePooling2D()(image)[:, :1] * [[1.0] * num_classes])


def no_net(input_shape, num_classes):
    return "a net"


def failing(input_shape, num_classes):
    raise RuntimeError("out of ideas")


def leaving(input_shape, num_classes):
    raise SystemExit("bye")


def with_layer(layer, input_shape, num_classes, activation=None):
    x = image = keras.Input(input_shape)
    x = layer(x) if layer else x
    return keras.Model(image, layers.Dense(num_classes, activation=activation)(layers.Flatten()(x)))


def sigmoid(*shape):
    return with_layer(None, *shape, activation="sigmoid")


def twice(*shape):
    shared = layers.Conv2D(shape[0][-1], 3, padding="same", name="shared")
    return with_layer(lambda x: shared(shared(x)), *shape)


def transposed(*shape):
    return with_layer(layers.Conv2DTranspose(2, 3), *shape)


def grouped(*shape):
    return with_layer(layers.Conv2D(3, 3, groups=3, name="conv"), *shape)


def half(*shape):
    return with_layer(layers.Conv2D(3, 3, dtype="float16", name="half"), *shape)


def with_lambda(*shape):
    return with_layer(layers.Lambda(lambda x: 2 * x), *shape)


class Unregistered(layers.Layer):
    def call(self, x):
        return 2 * x


class Rounded(layers.Layer):
    def call(self, x):
        return tf.round(x)


def unregistered(*shape):
    return with_layer(Unregistered(), *shape)


def without_gradient(*shape):
    return with_layer(Rounded(), *shape)


class Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(layers.Flatten()(x))


def subclassed(input_shape, num_classes):
    net = Subclass()
    net.build((None, *input_shape))
    return net


def test_a_net_that_can_be_trained():
    net = own_net(f"{__name__}:good", (8, 6, 3), 3)
    assert net.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("probabilities", "expected logits; got probabilities: remove the softmax or sigmoid"),
        ("too_many_classes", "expected logits of shape (None, 3); got (None, 4)"),
        ("other_images", "expected images of shape (None, 8, 6, 3); got (None, 9, 9, 1)"),
        ("nested", "expected a net without nested models; got"),
        ("without_kernels", "expected convolution or dense layers; got none"),
        ("no_net", "expected a tf_keras model; got builtins.str"),
        ("failing", "got RuntimeError: out of ideas"),
        ("subclassed", "expected a functional or sequential model; got a subclass, Subclass"),
        ("sigmoid", "expected logits; got probabilities"),
        ("leaving", "got SystemExit: bye"),
        ("twice", "expected layers that are called once; got shared, called more than once"),
        ("transposed", "expected kernels only in Conv2D, DepthwiseConv2D and Dense layers"),
        ("grouped", "expected convolutions of one group; got conv with 3 groups"),
        ("half", "expected float32 layers; got half in float16"),
        ("without_gradient", "expected logits with a gradient; got none with respect to the image"),
        ("with_lambda", "expected a net that Keras saves and reads back"),
        ("unregistered", "expected a net that Keras saves and reads back"),
        ("absent", "got AttributeError"),
        ("layers", "expected a function; got"),
    ],
)
def test_what_cannot_be_trained_is_refused(name, message):
    with pytest.raises(Refusal) as refusal:
        own_net(f"{__name__}:{name}", (8, 6, 3), 3)
    assert message in str(refusal.value)
    assert f"--model={__name__}:{name}: expected" in str(refusal.value)


def test_modules_of_the_current_folder_are_found(tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text("def net(input_shape, num_classes):\n    return 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    assert import_own("my_nets:net")((1,), 2) == 1
    with pytest.raises(Refusal, match="got ModuleNotFoundError"):
        import_own("no_such_module:net")
