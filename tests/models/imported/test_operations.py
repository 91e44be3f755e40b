"""Operations on tensors, layers as activations and slopes that are learned: converted exactly, or named."""

import json

import h5py
import numpy as np
import pytest
import tensorflow as tf

from robust_tf.models.imported.convert import converted
from robust_tf.models.imported.files import read
from robust_tf.models.imported.original import images
from robust_tf.refusal import Refusal
from robust_tf.training.importing import equal_source

SHAPE = (8, 8, 3)


def net_with(keras, middle):
    """A net whose convolution, of both signs, goes through `middle`."""
    keras.utils.set_random_seed(0)
    image = keras.Input(SHAPE)
    x = middle(keras.layers.Conv2D(5, 3, bias_initializer="uniform", name="conv")(image))
    return keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(x)))


def check_converted(net, path):
    """The file's net is not linear in what its middle would leave out: outputs are compared with the net's own."""
    net.save(path)
    source, difference = equal_source(path, SHAPE)
    assert difference < 1e-5
    x = images(SHAPE, (1.0,))
    ours, theirs = (np.asarray(each(x, training=False)) for each in (converted(source, SHAPE), net))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    return source


KERAS_3 = ("relu", "relu6", "sigmoid", "tanh", "silu", "selu", "softplus", "hard_silu", "hard_sigmoid", "negative")


@pytest.mark.parametrize("name", [*KERAS_3, "leaky_relu", "elu", "softmax"])
def test_operations_of_keras_3(versions, tmp_path, name):
    check_converted(net_with(versions[3], getattr(versions[3].ops, name)), tmp_path / "net.keras")


KERAS_2 = ("nn.relu", "nn.relu6", "nn.silu", "nn.selu", "nn.softmax", "sigmoid", "tanh", "math.softplus", "negative")


@pytest.mark.parametrize("name", KERAS_2)
def test_operations_of_keras_2(versions, tmp_path, name):
    operation = tf
    for part in name.split("."):
        operation = getattr(operation, part)
    check_converted(net_with(versions[2], operation), tmp_path / "net.keras")


@pytest.mark.parametrize("version", [2, 3])
def test_arguments_of_operations(versions, tmp_path, version):
    keras = versions[version]
    middle = {
        2: lambda x: tf.nn.leaky_relu(tf.nn.softmax(-x, axis=1) - 0.1, 0.3),
        3: lambda x: keras.ops.leaky_relu(keras.ops.softmax(-x, axis=1) - 0.1, 0.3),
    }
    check_converted(net_with(keras, middle[version]), tmp_path / "net.keras")


def test_the_relu_function_of_keras_3(versions, tmp_path):
    relu = versions[3].activations.relu
    check_converted(net_with(versions[3], lambda x: relu(x, max_value=0.3, negative_slope=0.1)), tmp_path / "net.keras")


@pytest.mark.parametrize("version", [2, 3])
def test_a_last_operation_is_taken_off(versions, tmp_path, version):
    keras = versions[version]
    net = net_with(keras, lambda x: x)
    softmax = keras.ops.softmax if version == 3 else tf.nn.softmax
    keras.Model(net.input, softmax(net.output)).save(tmp_path / "net.keras")
    source, _ = equal_source(tmp_path / "net.keras", SHAPE)
    x = images(SHAPE, (1.0,))
    np.testing.assert_allclose(converted(source, SHAPE)(x), np.asarray(net(x)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("file", ["net.keras", "net.h5"])
@pytest.mark.parametrize(
    "layer", [lambda L: L.ReLU(0.5), lambda L: L.LeakyReLU(), lambda L: L.ELU(0.7), lambda L: L.Softmax()]
)
def test_layers_as_activations(versions, tmp_path, version, file, layer):
    L = versions[version].layers
    middle = L.Conv2D(5, 3, activation=layer(L))
    check_converted(net_with(versions[version], middle), tmp_path / file)


@pytest.mark.parametrize("version", [2, 3])
def test_a_softmax_layer_as_the_last_activation(versions, tmp_path, version):
    L = versions[version].layers
    net = versions[version].Sequential(
        [versions[version].Input(SHAPE), L.Flatten(), L.Dense(4, activation=L.Softmax())]
    )
    net.save(tmp_path / "net.keras")
    source, _ = equal_source(tmp_path / "net.keras", SHAPE)
    assert np.abs(converted(source, SHAPE)(images(SHAPE)).numpy().sum(-1) - 1).max() > 0.1


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("file", ["net.keras", "net.h5"])
def test_a_slope_for_each_channel(versions, tmp_path, version, file):
    L = versions[version].layers
    slopes = L.PReLU(shared_axes=[1, 2], alpha_initializer="uniform")
    source = check_converted(net_with(versions[version], slopes), tmp_path / file)
    assert converted(source, SHAPE).layers[2].alpha.shape == (1, 1, 5)


@pytest.mark.parametrize("name", ["relu", "negative"])
def test_operations_that_keras_3_cannot_read_back(versions, tmp_path, name):
    net_with(versions[3], getattr(versions[3].ops, name)).save(tmp_path / "net.h5")
    with pytest.raises(
        Refusal, match=rf"expected a \.keras file, as .*; got {name}\w* \(the operation {name.title()}\)"
    ):
        equal_source(tmp_path / "net.h5", SHAPE)


@pytest.mark.parametrize(("version", "layer"), [(2, "Dropout"), (3, "Dropout"), (3, "SpatialDropout2D")])
def test_dropout_drops_in_training(versions, tmp_path, version, layer):
    """Keras 3 writes training=False for each dropout; only that of a net around it, or in Keras 2, says something."""
    keras = versions[version]
    dropout = getattr(keras.layers, layer)(0.5)

    def drops(net, name):
        net.save(tmp_path / name)
        ours, x = converted(read(tmp_path / name), SHAPE), images(SHAPE, (1.0,))
        return not np.array_equal(ours(x, training=True), ours(x, training=False))

    net = net_with(keras, dropout)
    assert drops(net, "net.keras")
    image = keras.Input(SHAPE)
    assert not drops(keras.Model(image, net(image, training=False)), "around.keras")
    if version == 2:
        assert not drops(net_with(keras, lambda x: keras.layers.Dropout(0.5)(x, training=False)), "fixed.keras")


def test_dropout_of_channels_in_an_h5_file_of_keras_3(versions, tmp_path):
    """Its configuration looks like that of an operation."""
    check_converted(net_with(versions[3], versions[3].layers.SpatialDropout2D(0.3)), tmp_path / "net.h5")


@pytest.mark.parametrize(
    ("version", "middle", "message"),
    [
        (3, lambda keras: lambda x: keras.ops.erf(x), r"got erf\w* \(the operation Erf\)"),
        (3, lambda keras: lambda x: x[:, 1:], r"got get_item\w* \(the operation GetItem\)"),
        (
            3,
            lambda keras: lambda x: keras.ops.cast(x, "int32") * 1.0,
            r"got cast\w* \(the operation Cast\) with the type int32",
        ),
        (2, lambda keras: lambda x: x**2, r"got tf\.math\.pow\w* \(the operation math\.pow\)"),
        (2, lambda keras: lambda x: x[:, 1:], r"got tf\.__operators__\.getitem\w* \(the operation SlicingOpLambda\)"),
    ],
)
def test_other_operations_are_named(versions, tmp_path, version, middle, message):
    keras = versions[version]
    net_with(keras, middle(keras)).save(tmp_path / "net.keras")
    with pytest.raises(Refusal, match=f"expected layers that can be converted; {message}"):
        equal_source(tmp_path / "net.keras", SHAPE)


def test_the_layer_is_named_where_keras_names_it_late(versions, tmp_path):
    """Keras prints the whole configuration first."""
    path = tmp_path / "net.h5"
    net_with(versions[3], lambda x: x).save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        (conv,) = [each for each in config["config"]["layers"] if each["class_name"] == "Conv2D"]
        conv["config"]["kernel_initializer"] = {"class_name": "Odd", "config": {"x" * 300: 1}}
        file.attrs["model_config"] = json.dumps(config)
    read(path)
    with pytest.raises(Refusal, match="expected a net that Keras loads; got at conv, ") as refusal:
        equal_source(path, SHAPE)
    assert len(str(refusal.value)) < 400
