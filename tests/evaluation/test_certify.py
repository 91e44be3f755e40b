"""bin/evaluate --mode=certify: certificates of a run's files, in the manifest too; what it refuses."""

import dataclasses

import numpy as np
import pytest
import tf_keras as keras

from robust_tf.evaluation.certificates import certified_file
from robust_tf.export.formats import convert
from robust_tf.records.evaluation import Certify, Tflite
from robust_tf.records.manifest import Manifest
from robust_tf.records.record import read


def record_of(run, mode, Record):
    (path,) = (run / "evaluation").glob(f"{mode}-*.json")
    return read(path, Record)


def test_certificates_are_below_what_attacks_leave(shared_runs):
    record = record_of(shared_runs / "robust", "certify", Certify)
    attacked = record_of(shared_runs / "robust", "tflite", Tflite)
    assert {name for name, each in record.files.items() if each.certificate.reason} == {"model_dynamic.tflite"}
    assert attacked.num_images == record.num_images == 20
    for name, found in record.files.items():
        if not found.certificate.reason:
            assert found.outside == 0
            assert found.certificate.certified <= found.certificate.certified_clean <= found.correct
            if name in attacked.files:
                assert found.certificate.certified <= round(20 * attacked.files[name].robust_accuracy)
    floats = [f.certificate.certified for name, f in record.files.items() if name in ("model_float32.tflite",)]
    assert floats == [round(20 * record.certified_accuracy)]  # as of the net itself


def test_the_manifest_has_the_same_certificates(shared_runs):
    run = shared_runs / "robust"
    manifest, record = read(run / "export" / "manifest.json", Manifest), record_of(run, "certify", Certify)
    assert {file.file for file in manifest.files} == set(record.files)
    for file in manifest.files:
        assert file.certificate.eps == record.eps
        assert file.certificate.reason == record.files[file.file].certificate.reason
        assert file.certificate.num_images == min(manifest.num_images, manifest.attack.num_images)


@pytest.fixture
def file(tmp_path):
    """(path of an int8 file, images, labels that its net predicts)"""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(3, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(4)]
    net = keras.Sequential([keras.Input((6, 5, 1)), *layers])
    images = np.random.default_rng(0).integers(0, 256, (30, 6, 5, 1)).astype(np.uint8)
    path = tmp_path / "model_int8.tflite"
    path.write_bytes(convert(net, "int8", images / np.float32(255)))
    return path, images, net(images / 255).numpy().argmax(-1)


def test_an_interrupted_certificate_goes_on(file, tmp_path):
    path, images, labels = file
    whole, state, seen = certified_file(path, images, labels, 0.01, 10), tmp_path / "state.npz", []

    def stop(count):
        seen.append(count)
        if seen == [0, 10, 10]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        certified_file(path, images, labels, 0.01, 10, state_path=state, advance=stop)
    seen.clear()
    resumed = certified_file(path, images, labels, 0.01, 10, state_path=state, advance=seen.append)
    assert seen == [20, 10]
    seconds = {"seconds": whole.certificate.seconds}
    assert dataclasses.replace(resumed, certificate=dataclasses.replace(resumed.certificate, **seconds)) == whole
    assert 0 < whole.certificate.certified < whole.certificate.certified_clean <= whole.correct
    other = certified_file(path, images, labels, 0.0, 10, state_path=state)  # of another radius
    assert other.certificate.certified == whole.certificate.certified_clean
