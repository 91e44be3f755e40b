"""Files that declare more than they hold are refused before memory is taken for it."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

from robust_tf.models.imported import weights
from robust_tf.models.imported.files import read
from robust_tf.refusal import Refusal
from robust_tf.training.importing import equal_source

SHAPE = (8, 8, 3)


@pytest.fixture
def saved(versions, tmp_path):
    """saved(version, file): a file of a small net."""

    def made(version, file):
        keras, L = versions[version], versions[version].layers
        net = keras.Sequential([keras.Input(SHAPE), L.Conv2D(3, 3, name="conv"), L.Flatten(), L.Dense(4, name="last")])
        path = tmp_path / file
        net.save(path, **({} if path.suffix else {"save_format": "tf"}))
        return path

    return made


def declare(file):
    """Makes the kernel of the convolution an array of 108 GB, of which nothing is stored."""
    found = []
    file.visititems(lambda name, each: found.append(name) if getattr(each, "ndim", 0) == 4 else None)
    del file[found[0]]
    file.create_dataset(found[0], (3, 3, 3, 10**9), "float32")


def rewritten(path, change_weights=lambda file: None, change_config=lambda config: None, **options):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    stored, config = io.BytesIO(members["model.weights.h5"]), json.loads(members["config.json"])
    with h5py.File(stored, "a") as file:
        change_weights(file)
    change_config(config)
    members |= {"model.weights.h5": stored.getvalue(), "config.json": json.dumps(config).encode()}
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


DECLARED = (
    r"expected arrays that the file holds; got .*(kernel|vars/0).* of shape \(3, 3, 3, 1000000000\), 10\d,.* bytes"
)


@pytest.mark.parametrize("version", [2, 3])
def test_arrays_that_the_file_does_not_hold(saved, version):
    path = saved(version, "net.keras")
    rewritten(path, declare)
    with pytest.raises(Refusal, match=DECLARED):
        read(path)
    path = saved(version, "net.h5")
    with h5py.File(path, "a") as file:
        declare(file)
    with pytest.raises(Refusal, match=DECLARED):
        read(path)


def test_one_array_under_many_names(tmp_path):
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["a"] = np.zeros(1000)
        assert weights.check_stored(file, "file.h5", 10_000) == 2000
        file["b"] = file["a"]
        with pytest.raises(Refusal, match=r"got b of shape \(1000,\), 6,000 bytes more than there are"):
            weights.check_stored(file, "file.h5", 10_000)


@pytest.mark.filterwarnings("ignore")
def test_a_saved_model_that_was_cut_off(saved):
    path = saved(2, "net")
    (data,) = (path / "variables").glob("variables.data-*")
    data.write_bytes(data.read_bytes()[:1500])
    with pytest.raises(Refusal, match="expected arrays that the file holds"):
        read(path)


def test_archives_that_unpack_to_very_much(saved):
    path = saved(3, "net.keras")
    rewritten(path, compression=zipfile.ZIP_DEFLATED)
    assert equal_source(path, SHAPE)[1] < 1e-5
    zeros = np.zeros(10**7, np.float32)
    rewritten(path, lambda file: file.create_dataset("more", data=zeros), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(Refusal, match=r"expected at most .* bytes in it; got model\.weights\.h5 of 40,"):
        read(path)


@pytest.mark.parametrize(
    ("layer", "change", "message"),
    [
        (
            0,
            {"filters": 10**10},
            r"got conv \(Conv2D\) with weights of shape \(3, 3, 3, 3\), .* \(3, 3, 3, 10000000000\)",
        ),
        (0, {"kernel_size": [10**5, 10**5]}, r"got conv \(Conv2D\) with weights"),
        (-1, {"units": 10**10}, r"got last \(Dense\) with weights of shape \(108, 4\), .* \(108, 10000000000\)"),
    ],
)
def test_layers_larger_than_their_arrays(saved, layer, change, message):
    path = saved(3, "net.keras")

    def grow(config):
        layers = [each for each in config["config"]["layers"] if each["config"]["name"] in ("conv", "last")]
        layers[layer]["config"].update(padding="same", **change)

    rewritten(path, change_config=grow)
    with pytest.raises(Refusal, match=f"expected layers that can be converted; {message}"):
        equal_source(path, SHAPE)
