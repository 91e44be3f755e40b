"""Nets of Keras 3 and Keras 2, as their own programs save them."""

import os
import types

import numpy as np
import pytest
import tf_keras

SHAPE = (8, 8, 3)


@pytest.fixture(scope="session")
def versions():
    """{2: tf_keras, 3: Keras 3}."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    return {2: tf_keras, 3: keras}


@pytest.fixture(scope="session")
def nets(versions):
    """nets(version, name): a net with random weights and batch statistics."""

    def made(version, name):
        keras = versions[version]
        keras.utils.set_random_seed(0)
        net = getattr(Nets, name)(keras)
        generator = np.random.default_rng(0)
        weights = [generator.uniform(0.3, 1.0, w.shape) * generator.choice([-1, 1], w.shape) for w in net.get_weights()]
        names = [w.path if version == 3 else w.name for w in net.weights]
        net.set_weights([abs(w) if "variance" in name else w * 0.3 for w, name in zip(weights, names)])
        return net

    return made


def residual(keras):
    """Pixels up to 255, nested names that the outer net has too, a separable convolution, a softmax."""
    L = keras.layers
    image = keras.Input(SHAPE)
    normal = L.Normalization(mean=[100.0, 120.0, 140.0], variance=[900.0, 1600.0, 2500.0])
    x = normal(image)
    x = L.Conv2D(6, 3, strides=2, activation="relu", name="conv")(x)
    x = L.BatchNormalization(name="norm")(x)
    inner = keras.Sequential(
        [
            keras.Input((3, 3, 6)),
            L.Conv2D(6, 1, name="conv"),
            L.BatchNormalization(name="norm"),
            L.Conv2D(6, 1, name="last", activation="tanh"),
        ],
        name="inner",
    )
    x = L.Add()([x, inner(L.SeparableConv2D(6, 3, padding="same", name="separable")(x))])
    x = L.LeakyReLU()(L.DepthwiseConv2D(3, padding="same")(x))
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(image, L.Dense(4, activation="softmax", name="logits")(L.Dropout(0.3)(x)))


def plain(keras):
    """A sequential net with augmentation, a Rescaling and a softmax layer."""
    L = keras.layers
    parts = [L.RandomFlip("horizontal"), L.Rescaling(1 / 255), L.Conv2D(5, 3, activation="gelu"), L.MaxPooling2D()]
    return keras.Sequential([keras.Input(SHAPE), *parts, L.Flatten(), L.Dense(4), L.Softmax()])


def frozen(keras):
    """A frozen nested base in inference mode, and a trained head, as in transfer learning."""
    L = keras.layers
    base = keras.Sequential(
        [keras.Input(SHAPE), L.Conv2D(5, 3, name="conv"), L.BatchNormalization(), L.Conv2D(5, 3)], name="base"
    )
    base.trainable = False
    image = keras.Input(SHAPE)
    x = base(image, training=False)
    return keras.Model(image, L.Dense(4)(L.GlobalMaxPooling2D()(L.ReLU(6.0)(L.BatchNormalization()(x)))))


def operations(keras):
    """Operations on tensors in place of layers, and a strided 1x1 convolution."""
    L = keras.layers
    image = keras.Input(SHAPE)
    x = L.Conv2D(5, 1, strides=2, activation="sigmoid")(image / 127.5 - 1.0)
    y = L.Conv2D(5, 3, padding="same")(x) * x + 3.0
    return keras.Model(image, L.Dense(4)(L.Flatten()(L.Concatenate()([y, 1.0 - x]))))


def one_logit(keras):
    L = keras.layers
    return keras.Sequential([keras.Input(SHAPE), L.Conv2D(3, 3), L.Flatten(), L.Dense(1, activation="sigmoid")])


def many_sigmoids(keras):
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(4, activation="sigmoid")])


Nets = types.SimpleNamespace(
    residual=residual,
    plain=plain,
    frozen=frozen,
    operations=operations,
    one_logit=one_logit,
    many_sigmoids=many_sigmoids,
)
