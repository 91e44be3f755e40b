"""Every format of both versions of Keras: the converted net computes what its own Keras computes."""

import json
import zipfile

import h5py
import numpy as np
import pytest
import tf_keras

from robust_tf.models.imported.classes import last_kernel, two_classes, without_probabilities
from robust_tf.models.imported.convert import converted
from robust_tf.models.imported.files import read
from robust_tf.models.imported.original import check_equal, images
from robust_tf.models.imported.scaling import SCALINGS
from robust_tf.refusal import Refusal
from robust_tf.training.importing import equal_source, import_net

SHAPE = (8, 8, 3)
FORMATS = [(2, "net.keras"), (2, "net.h5"), (2, "net"), (3, "net.keras"), (3, "net.h5")]


def saved(net, path):
    net.save(path, **({} if path.suffix else {"save_format": "tf"}))
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["residual", "plain", "frozen", "operations"])
@pytest.mark.parametrize(("version", "file"), FORMATS)
def test_the_converted_net_computes_the_same(nets, tmp_path, version, file, name):
    if (version, file, name) == (3, "net.h5", "operations"):
        pytest.skip("Keras 3 itself cannot load operations from an .h5 file")
    net = nets(version, name)
    source, difference = equal_source(saved(net, tmp_path / file), SHAPE)
    assert difference < 1e-4
    x = images(SHAPE)
    ours, theirs = (np.asarray(each(x, training=False)) for each in (converted(source, SHAPE), net))
    if name in ("residual", "plain"):  # which end with a softmax
        ours = np.exp(ours - ours.max(-1, keepdims=True))
        ours /= ours.sum(-1, keepdims=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    assert theirs.std(0).max() > 1e-3  # the net tells images apart


@pytest.mark.parametrize(("version", "file"), FORMATS)
def test_frozen_layers_stay_frozen(nets, tmp_path, version, file):
    net, record, _ = import_net(
        saved(nets(version, "frozen"), tmp_path / file), SHAPE, tuple("abcd"), *random_images(), scaling="0..1"
    )
    assert len(record.frozen) == 3
    assert len(net.trainable_weights) == 4  # the head's
    assert len({layer.name for layer in net.layers}) == len(net.layers)


def random_images():
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (20, *SHAPE)).astype(np.uint8), generator.integers(0, 4, 20)


def test_another_weight_is_found(nets, tmp_path):
    """The comparison sees one wrong number."""
    source, head = without_probabilities(read(saved(nets(3, "residual"), tmp_path / "net.keras")))
    net = converted(source, SHAPE)
    check_equal(source, net, head)
    last = net.layers[-1].kernel
    last.assign(last + 0.01 * (np.indices(last.shape).sum(0) == 0))
    with pytest.raises(Refusal, match="the converted net to compute what the file's net does"):
        check_equal(source, net, head)


@pytest.mark.parametrize("version", [2, 3])
def test_a_net_that_computes_in_16_bits(versions, tmp_path, version):
    """Its weights are float32; it is compared as closely as 16 bits allow."""
    L = versions[version].layers
    parts = [L.Conv2D(5, 3, activation="relu", dtype="mixed_float16"), L.Flatten(), L.Dense(4, dtype="float32")]
    net = versions[version].Sequential([versions[version].Input(SHAPE), *parts])
    source, difference = equal_source(saved(net, tmp_path / "net.keras"), SHAPE)
    assert 0 < difference < 0.01
    assert {layer.compute_dtype for layer in converted(source, SHAPE).layers} == {"float32"}


@pytest.mark.parametrize("version", [2, 3])
def test_one_logit_becomes_two_classes(nets, tmp_path, version):
    net = nets(version, "one_logit")
    source, _ = equal_source(saved(net, tmp_path / "net.keras"), SHAPE)
    x = images(SHAPE, (1.0,))
    z = converted(two_classes(source), SHAPE)(x).numpy()
    np.testing.assert_allclose(1 / (1 + np.exp(z[:, 0] - z[:, 1])), np.asarray(net(x))[:, 0], rtol=1e-4)


def test_several_sigmoids_are_refused(nets, tmp_path):
    path = saved(nets(3, "many_sigmoids"), tmp_path / "net.keras")
    with pytest.raises(Refusal, match=r"expected a softmax or one logit, .*; got a sigmoid for each of 4 classes"):
        equal_source(path, SHAPE)


def test_applications(versions, tmp_path):
    """Of Keras 3, in the two versions of Keras: test_applications_of_both is slow."""
    check_application(versions[3], "MobileNetV3Small", tmp_path / "net.keras")


@pytest.mark.slow
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small", "EfficientNetB0"])
def test_applications_of_both(versions, tmp_path, version, name):
    check_application(versions[version], name, tmp_path / "net.keras")


def check_application(keras, name, path):
    keras.utils.set_random_seed(0)
    saved(getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=7), path)
    source, difference = equal_source(path, (64, 64, 3))
    assert difference < 1e-4
    assert source.steps[last_kernel(source)].layer.arrays[0].shape[-1] == 7


def with_layer(keras, layer):
    return keras.Sequential([keras.Input(SHAPE), layer, keras.layers.Flatten(), keras.layers.Dense(4)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda L: L.Conv2DTranspose(2, 3, name="up"), r"got up \(Conv2DTranspose\)"),
        (
            lambda L: L.Dense(4, activation=L.PReLU(), name="odd"),
            r"got odd \(Dense\) with an activation that is a layer, PReLU",
        ),
        (lambda L: L.PReLU(name="slopes"), r"got slopes \(PReLU\) with a slope for each pixel"),
        (lambda L: L.Conv2D(2, 3, activation="log_softmax", name="odd"), r"got odd .* with the activation log_softmax"),
    ],
)
def test_what_cannot_be_converted_is_named(versions, tmp_path, make, message):
    keras = versions[3]
    path = saved(with_layer(keras, make(keras.layers)), tmp_path / "net.keras")
    with pytest.raises(Refusal, match=f"expected layers that can be converted; {message}") as refusal:
        equal_source(path, SHAPE)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("nested", [False, True])
def test_a_layer_that_is_called_twice(versions, tmp_path, version, nested):
    keras, L = versions[version], versions[version].layers
    image, shared = keras.Input(SHAPE), L.Conv2D(3, 3, padding="same", name="shared")
    if nested:
        shared = keras.Sequential([keras.Input(SHAPE), shared], name="shared")
    net = keras.Model(image, L.Dense(4)(L.Flatten()(shared(shared(image)))))
    with pytest.raises(Refusal, match="expected layers that are called once; got shared, called 2 times"):
        equal_source(saved(net, tmp_path / "net.keras"), SHAPE)


def lambdas(tmp_path, version, file, keras, trap):
    """A file of a net with a Lambda that creates the file `trap` when it is called."""
    name = str(trap)
    layer = keras.layers.Lambda(lambda x: [x, open(name, "w").close()][0], output_shape=SHAPE, name="odd")
    path = saved(with_layer(keras, layer), tmp_path / file)
    trap.unlink(missing_ok=True)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("version", "file"), FORMATS)
def test_code_is_refused_and_never_runs(versions, tmp_path, version, file):
    trap = tmp_path / "trap"
    path = lambdas(tmp_path, version, file, versions[version], trap)
    with pytest.raises(Refusal, match=r"expected a net without code; got odd \(Lambda\)"):
        equal_source(path, SHAPE)
    assert not trap.exists()


def rewritten(path, change):
    """Changes the configuration in a .keras file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("version", [2, 3])
def test_modules_outside_keras_are_refused_and_never_imported(nets, tmp_path, version, monkeypatch):
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = saved(nets(version, "plain"), tmp_path / "net.keras")

    def change(config):
        odd = {"module": "trap", "class_name": "Odd", "config": {}, "registered_name": "Odd"}
        config["config"]["layers"][-2]["config"]["kernel_initializer"] = odd

    rewritten(path, change)
    with pytest.raises(Refusal, match="expected layers of Keras; got 'Odd' of the module 'trap'"):
        equal_source(path, SHAPE)
    assert not (tmp_path / "imported").exists()


def test_a_saved_model_for_inference_is_refused(nets, tmp_path):
    nets(3, "plain").export(tmp_path / "exported", verbose=False)
    with pytest.raises(Refusal, match=r"got one for inference alone, as model\.export writes it"):
        equal_source(tmp_path / "exported", SHAPE)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "expected a file of a Keras net"),
        (lambda path: path.write_text("no net"), "got another file"),
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "expected a"),
        (
            lambda path: rewritten(path, lambda config: config.update(class_name="Mine", module=None)),
            "got a subclass, Mine",
        ),
        (lambda path: rewritten(path, lambda config: config.update(config=3)), "expected the configuration of a Keras"),
        (lambda path: rewritten(path, lambda config: config["config"]["layers"].pop(3)), "expected"),
    ],
)
def test_damaged_files(nets, tmp_path, damage, message):
    path = saved(nets(3, "plain"), tmp_path / "net.keras")
    damage(path)
    with pytest.raises(Refusal, match=message) as refusal:
        equal_source(path, SHAPE)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["plain", "operations"])  # with a softmax at the end, and without
def test_outputs_that_are_not_finite_are_refused(nets, tmp_path, name):
    net = nets(2, name)
    net.set_weights([np.full_like(w, np.nan) for w in net.get_weights()])
    with pytest.raises(Refusal, match="expected a net with finite outputs; got NaN or infinity on random images"):
        equal_source(saved(net, tmp_path / "net.keras"), SHAPE)


def test_what_is_no_plain_file_is_refused(nets, tmp_path):
    with pytest.raises(Refusal, match=r"/dev/zero: expected a file of a Keras net .*; got no regular file"):
        read("/dev/zero")
    path = saved(nets(3, "plain"), tmp_path / "net.keras").rename(tmp_path / "net.h5")
    with pytest.raises(Refusal, match=r"expected the name of a Keras archive to end in \.keras; got net\.h5"):
        read(path)


def test_a_reference_to_nothing_is_refused(nets, tmp_path):
    """Keras 2 itself would look for it for ever."""
    path = saved(nets(2, "residual"), tmp_path / "net.keras")
    rewritten(path, lambda config: config["config"]["layers"][-1]["inbound_nodes"][0][0].__setitem__(1, 3))
    with pytest.raises(Refusal, match=r"expected the configuration of a Keras net; .* which has one"):
        equal_source(path, SHAPE)


def test_weights_alone_are_refused(nets, tmp_path):
    nets(2, "plain").save_weights(tmp_path / "net.h5")
    with pytest.raises(Refusal, match=r"expected a whole net \(model\.save\); got weights alone"):
        equal_source(tmp_path / "net.h5", SHAPE)


def test_missing_arrays_are_refused(nets, tmp_path):
    path = saved(nets(2, "residual"), tmp_path / "net.h5")
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]["norm"]
        group.attrs["weight_names"] = group.attrs["weight_names"][:-1]
    with pytest.raises(Refusal, match="expected 4 arrays of weights of norm; got 3"):
        equal_source(path, SHAPE)


def test_other_images_are_refused(nets, tmp_path):
    path = saved(nets(3, "plain"), tmp_path / "net.keras")
    with pytest.raises(Refusal, match=r"expected images \(9, 9, 3\); got a net for \(8, 8, 3\): with --dataset=folder"):
        equal_source(path, (9, 9, 3))


def test_open_sizes_take_the_data_s_images(versions, tmp_path):
    L = versions[3].layers
    net = versions[3].Sequential(
        [versions[3].Input((None, None, 3)), L.Conv2D(3, 3), L.GlobalAveragePooling2D(), L.Dense(4)]
    )
    source, _ = equal_source(saved(net, tmp_path / "net.keras"), SHAPE)
    assert converted(source, SHAPE).input_shape == (None, *SHAPE)


@pytest.mark.slow
def test_nets_of_this_project_are_read_too(tmp_path):
    from robust_tf.models import MODELS

    tf_keras.utils.set_random_seed(0)
    net = MODELS["shufflenet_v2"]((16, 16, 3), 4, width=0.25, normalisation=((0.5,) * 3, (0.25,) * 3))
    _, difference = equal_source(saved(net, tmp_path / "net.keras"), (16, 16, 3))
    assert difference == 0


def odd(keras):
    """Augmentation that Keras calls in training mode, calls by keyword, names that the converter uses too."""
    L = keras.layers
    image = keras.Input(SHAPE, name="image")
    x = L.RandomFlip("horizontal")(image)
    x = L.SpatialDropout2D(0.2)(L.Conv2D(5, 3, activation="relu6", name="conv")(x))
    x = L.Conv2D(5, 3, strides=2, name="conv_activation")(inputs=x)
    x = L.Activation("relu", name="input_scaling")(x)
    return keras.Model(image, L.Softmax()(inputs=L.Dense(4)(L.Flatten()(x))))


@pytest.mark.parametrize("version", [2, 3])
def test_calls_and_names_that_need_care(versions, tmp_path, version):
    path = saved(odd(versions[version]), tmp_path / "net.keras")
    source = read(path)
    logits, head = without_probabilities(source)
    assert head == "softmax"
    net = converted(logits, SHAPE, SCALINGS["-1..1"].layers())
    assert len({layer.name for layer in net.layers}) == len(net.layers)
    assert check_equal(source, converted(logits, SHAPE), head) < 1e-5


def test_arrays_outside_the_file_are_refused(versions, tmp_path):
    other, path = tmp_path / "other", tmp_path / "net.h5"
    other.write_bytes(bytes(16))
    versions[2].Sequential([tf_keras.Input((2, 2, 1)), tf_keras.layers.Flatten(), tf_keras.layers.Dense(4)]).save(path)
    with h5py.File(path, "a") as file:
        group = file["model_weights"]
        names = []
        group.visit(names.append)
        (bias,) = [name for name in names if "bias" in name]
        del group[bias]
        group.create_dataset(bias, (4,), "float32", external=[(str(other), 0, 16)])
    with pytest.raises(Refusal, match="expected arrays in the file itself; got a link to another place, bias"):
        read(path)
    with h5py.File(path, "a") as file:
        del file["model_weights"][bias]
        file["model_weights"][bias] = h5py.ExternalLink(str(other), "/x")
    with pytest.raises(Refusal, match="expected arrays in the file itself"):
        read(path)
