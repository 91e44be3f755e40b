"""What a net takes: whole numbers, tensors in dicts and lists."""

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.models.imported.convert import converted
from robust_tf.models.imported.original import images
from robust_tf.refusal import Refusal
from robust_tf.training.importing import equal_source, import_net

SHAPE = (8, 8, 3)
FORMATS = [(2, "net.keras"), (2, "net.h5"), (2, "net"), (3, "net.keras"), (3, "net.h5")]


def saved(net, path):
    net.save(path, **({} if path.suffix else {"save_format": "tf"}))
    return path


def whole(keras, dtype="uint8"):
    image, L = keras.Input(SHAPE, dtype=dtype), keras.layers
    return keras.Model(image, L.Dense(4)(L.Flatten()(L.Conv2D(3, 3)(L.Rescaling(1 / 255)(image)))))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("version", "file"), FORMATS)
def test_a_net_for_whole_numbers(versions, tmp_path, version, file):
    net = whole(versions[version])
    path = saved(net, tmp_path / file)
    _, difference = equal_source(path, SHAPE)
    assert difference < 1e-5
    pixels = np.random.default_rng(0).integers(0, 256, (20, *SHAPE)).astype(np.uint8)
    labels = np.asarray(net(pixels)).argmax(-1)
    ours, record, lines = import_net(path, SHAPE, tuple("abcd"), pixels, labels)
    assert (record.input_scaling, record.accuracies) == ("0..255", {"0..255": 1.0})
    np.testing.assert_allclose(ours(pixels / np.float32(255)), np.asarray(net(pixels)), rtol=1e-4, atol=1e-5)
    assert f"{path}: its input, uint8, becomes float32, as attacks change pixels by fractions" in lines
    with pytest.raises(
        Refusal, match=r"--input_scaling: expected 0\.\.255 with a net whose input is uint8; got 0\.\.1"
    ):
        import_net(path, SHAPE, tuple("abcd"), pixels, labels, scaling="0..1")


@pytest.mark.parametrize("version", [2, 3])
def test_a_cast_of_whole_numbers(versions, tmp_path, version):
    keras = versions[version]
    image = keras.Input(SHAPE, dtype="uint8")
    x = (keras.ops.cast if version == 3 else tf.cast)(image, "float32") / 127.5 - 1.0
    path = saved(keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(x))), tmp_path / "net.keras")
    assert equal_source(path, SHAPE)[1] < 1e-5


def test_whole_numbers_that_pixels_do_not_fit(versions, tmp_path):
    path = saved(whole(versions[3], "int8"), tmp_path / "net.keras")
    with pytest.raises(Refusal, match="expected an input of real numbers, or of whole numbers up to 255; got int8"):
        equal_source(path, SHAPE)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("version", "file"), FORMATS)
@pytest.mark.parametrize("packed", [lambda x: {"pixels": x}, lambda x: [x]])
def test_tensors_in_dicts_and_lists(versions, tmp_path, version, file, packed):
    """Of the net and of one inside it."""
    keras, L = versions[version], versions[version].layers
    pixels, image = keras.Input(SHAPE, name="pixels"), keras.Input(SHAPE, name="image")
    inner = keras.Model(packed(pixels), L.Conv2D(3, 3)(pixels), name="inner")
    net = keras.Model(packed(image), {"scores": L.Dense(4)(L.Flatten()(inner(packed(image))))})
    source, difference = equal_source(saved(net, tmp_path / file), SHAPE)
    assert difference < 1e-5
    x = images(SHAPE)
    theirs = net(packed(tf.constant(x)))["scores"]
    np.testing.assert_allclose(converted(source, SHAPE)(x), np.asarray(theirs), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("version", [2, 3])
def test_two_inputs_are_refused(versions, tmp_path, version):
    keras = versions[version]
    both = {name: keras.Input(SHAPE, name=name) for name in "ab"}
    net = keras.Model(both, keras.layers.Flatten()(keras.layers.Add()(list(both.values()))), name="two")
    with pytest.raises(Refusal, match="expected one input; got 2 of two"):
        equal_source(saved(net, tmp_path / "net.keras"), SHAPE)
