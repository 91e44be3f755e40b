"""Nets of files in runs: the pixels and classes that they expect, bin/import, training, and what is refused."""

import importlib
import json
import os
import shutil
import sys

import numpy as np
import pytest
import tf_keras

from robust_tf.data.digits import load
from robust_tf.flags.declare import parse
from robust_tf.flags.text import as_json
from robust_tf.models.imported.choice import choose
from robust_tf.models.imported.scaling import SCALINGS
from robust_tf.models.kernels import kernels
from robust_tf.models.load import load_net
from robust_tf.refusal import Refusal
from robust_tf.report.runs import read_run
from robust_tf.training.config import TrainConfig
from robust_tf.training.importing import import_net, reported
from robust_tf.training.run import train
from robust_tf.training.rundir import RunDirectory

CLASSES = tuple("0123456789")
SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def keras():
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    return keras


@pytest.fixture(scope="module")
def trained(keras, tmp_path_factory):
    """A file of a net of Keras 3 that was trained on digits with pixels up to 255."""
    images, labels = load("train")
    L = keras.layers
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input(SHAPE),
            L.Conv2D(8, 5, strides=2, activation="relu", name="first"),
            L.MaxPooling2D(),
            L.BatchNormalization(),
            L.Flatten(),
            L.Dense(10, activation="softmax", name="scores"),
        ]
    )
    net.compile("adam", "sparse_categorical_crossentropy")
    net.fit(images.astype(np.float32), labels, epochs=6, verbose=0)
    path = tmp_path_factory.mktemp("trained") / "net.keras"
    net.save(path)
    return path


def imported(path, **options):
    return import_net(path, SHAPE, CLASSES, *load("train"), **options)


def accuracy(net):
    images, labels = load("test")
    return np.mean(np.argmax(net(images.astype(np.float32) / 255), -1) == labels)


def test_the_pixels_are_those_that_score_best(trained):
    net, record, lines = imported(trained)
    assert record.input_scaling == "0..255"
    assert set(record.accuracies) == {"0..1", "-1..1", "0..255"}  # others need three channels
    assert record.accuracies["0..255"] > 0.9 > 0.3 > record.accuracies["0..1"]
    assert lines[1].startswith("--input_scaling=0..255 (accuracy on 1,000 training images: 0..1 ")
    assert accuracy(net) > 0.9


def test_of_scalings_that_score_alike_the_most_likely_is_taken():
    """A rectified net without biases classifies alike at every scale; with these labels it is right at each."""
    tf_keras.utils.set_random_seed(0)
    layers = [tf_keras.layers.Flatten(), tf_keras.layers.Dense(20, "relu", use_bias=False)]
    net = tf_keras.Sequential([tf_keras.Input((6, 6, 1)), *layers, tf_keras.layers.Dense(3, use_bias=False)])
    images = np.random.default_rng(0).integers(0, 256, (100, 6, 6, 1)).astype(np.uint8)
    labels = net(images / 255.0).numpy().argmax(-1)
    labels[:5] = (labels[:5] + 1) % 3  # errors, of which a net at 255 times the scale is certain
    found = choose(net, ["0..1", "0..255"], images, labels)
    assert found.accuracies["0..1"] == found.accuracies["0..255"] == 0.95
    assert found.scaling == "0..1"
    (_, said) = reported(found, "auto", tuple("abc"), None)
    assert said == (
        "--input_scaling: 0..1, 0..255 score alike, within 10.0%: 0..1 is taken, as its cross-entropy is least; set the"
        " flag if the net was trained on other pixels"
    )
    (_, said) = reported(choose(net, ["0..1", "0..255"], images, labels, "0..255"), "auto", tuple("abc"), None)
    assert "0..255 is taken, as its first layer says" in said
    (_, said, warning) = reported(
        choose(net, ["0..1", "0..255"], images, np.arange(100) % 3), "auto", tuple("abc"), None
    )
    assert "0..1 is taken, as none is better than guessing" in said
    assert choose(net, ["0..1", "0..255"], images, np.arange(100) % 3, "0..255").scaling == "0..255"  # its own layer
    assert "warning: the net is no better than guessing" in warning
    net.layers[-1].set_weights([0 * w for w in net.layers[-1].get_weights()])  # class 0 for all images
    labels = np.minimum(np.arange(100) % 4, 1)
    found = choose(net, ["0..1"], images, 1 - labels)
    assert found.accuracies["0..1"] == found.frequent == 0.75
    assert found.at_chance


def test_a_wrong_scaling_is_taken_and_said(trained):
    net, record, lines = imported(trained, scaling="0..1")
    assert record.input_scaling == "0..1"
    assert any("warning: the net is no better than guessing" in line for line in lines)
    assert accuracy(net) < 0.3
    with pytest.raises(Refusal, match="--input_scaling=caffe: expected images of 3 channels with it; got 1"):
        imported(trained, scaling="caffe")


@pytest.mark.parametrize("name", SCALINGS)
def test_scalings_by_hand(name):
    """As tf_keras.applications scale pixels up to 255."""
    x = np.random.default_rng(0).uniform(0, 255, (2, 3, 3, 3)).astype(np.float32)
    mode = {"-1..1": "tf", "imagenet": "torch", "caffe": "caffe"}.get(name)
    plain = {"0..1": x / 255, "0..255": x}
    expected = tf_keras.applications.imagenet_utils.preprocess_input(x.copy(), mode=mode) if mode else plain[name]
    ours = x / 255
    for layer in SCALINGS[name].layers():
        ours = layer(ours)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_a_first_layer_says_the_scaling(keras, tmp_path):
    """Where the accuracy, here of an untrained net, does not."""
    L = keras.layers
    net = keras.Sequential([keras.Input(SHAPE), L.Rescaling(1 / 127.5, -1), L.Flatten(), L.Dense(10)])
    net.save(tmp_path / "net.keras")
    assert imported(tmp_path / "net.keras")[1].input_scaling == "0..255"


def shuffled(keras, trained, path):
    """The trained net with output i for class (i + 3) mod 10."""
    net = keras.models.load_model(trained)
    net.layers[-1].set_weights([np.roll(w, -3, -1) for w in net.layers[-1].get_weights()])
    net.save(path)
    return path


def test_another_order_of_the_classes_is_found_and_mended(keras, trained, tmp_path):
    path = shuffled(keras, trained, tmp_path / "shuffled.keras")
    net, _, lines = imported(path)
    names = [str((i + 3) % 10) for i in range(10)]
    warning = f"warning: the net's outputs seem to be {', '.join(names)}, in this order"
    assert any(line.startswith(warning) for line in lines)
    assert accuracy(net) < 0.3
    (tmp_path / "labels.txt").write_text("\n".join(names))
    net, record, lines = imported(path, names=tmp_path / "labels.txt")
    assert accuracy(net) > 0.9
    assert record.labels == tuple(names)
    assert not any("warning" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\n1", "expected the data's classes, 0, 1, .*; got no 2"),
        ("\n".join([*CLASSES, "ten"]), "got 11 names"),
        ("\n".join([*CLASSES, "0"]), "expected each class once"),
        (None, "expected a text file"),
    ],
)
def test_bad_labels(trained, tmp_path, text, message):
    if text is not None:
        (tmp_path / "labels").write_text(text)
    with pytest.raises(Refusal, match=message):
        imported(trained, names=tmp_path / "labels")


@pytest.fixture
def run_command(monkeypatch):
    """run_command(name, *flags): a command, in this process."""

    def run(name, *flags):
        monkeypatch.setattr(sys, "argv", [name, *flags])
        importlib.import_module(f"robust_tf.commands.{name}").main()

    return run


def config(workdir, *flags):
    return parse(TrainConfig, [f"--workdir={workdir}", "--dataset=digits", *flags])


def test_import_leaves_a_run_without_training(trained, tmp_path, capsys, run_command):
    workdir = tmp_path / "run"
    run_command("import_net", str(trained), f"--workdir={workdir}")
    assert f"imported: {workdir}" in capsys.readouterr().out
    run = RunDirectory.open(workdir)
    assert (run.config.method, run.summary().epochs_trained) == ("none", 0)
    assert run.summary().clean_accuracy > 0.9
    assert accuracy(load_net(run.net_path)) > 0.9
    before = run.net_path.read_bytes()
    run_command("import_net", str(trained), f"--workdir={workdir}")
    assert run.net_path.read_bytes() == before


@pytest.mark.slow
def test_later_commands_take_an_imported_run(trained, tmp_path, run_command):
    workdir = f"--workdir={tmp_path / 'run'}"
    run_command("import_net", str(trained), workdir)
    run_command("evaluate", workdir, "--attacks=fgsm", "--num_images=50")
    run_command("export_tflite", workdir, "--formats=float32,int8", "--num_images=20", "--steps=1")
    with pytest.raises(SystemExit, match="0"):
        run_command("benchmark", workdir, "--runs=3")
    run_command("report", workdir)
    run = read_run("run", tmp_path / "run")
    (record,) = run.evaluations.values()
    assert record.certified_accuracy is not None
    assert run.files[0].agreement == 1
    assert {timing.file for timing in run.timings} == {"model_float32.tflite", "model_int8.tflite"}
    assert run.config.method == "none"


SHORT = ("--optimizer=adam", "--learning_rate=0.0005", "--steps=1", "--batch_size=383")


def test_a_run_resumes_after_its_file_has_moved(trained, tmp_path):
    path = tmp_path / "mine.keras"
    shutil.copy(trained, path)
    flags = (f"--init_from={path}", "--method=admm", "--ratio=0.5", "--adv_weight=0.5", *SHORT)
    asked = config(tmp_path / "run", *flags, "--epochs=1")
    assert as_json(asked)["model"] == str(path)  # --init_from=FILE alone is --model=FILE
    run = train(asked)
    assert run.summary().clean_accuracy > 0.3  # chance: 0.1
    path.rename(tmp_path / "moved.keras")
    run = train(config(tmp_path / "run", *flags, "--epochs=2"))
    assert run.summary().epochs_trained == 2
    assert sum(np.count_nonzero(w) for w in kernels(load_net(run.net_path))) == round(0.5 * run.summary().kernels_total)
    with pytest.raises(Refusal, match="expected a Keras net there, or in a run directory that began with it; got none"):
        train(config(tmp_path / "other", *flags, "--epochs=1"))
    path.write_bytes((tmp_path / "moved.keras").read_bytes() + b"\0")
    with pytest.raises(Refusal, match=r"expected the file from which .* was made"):
        train(config(tmp_path / "run", *flags, "--epochs=3"))
    again = config(tmp_path / "next", "--method=none", f"--model={path}", f"--init_from={tmp_path / 'run'}")
    path.unlink()  # the run of --init_from holds the net
    for ours, theirs in zip(load_net(train(again).net_path).weights, load_net(run.net_path).weights):
        np.testing.assert_array_equal(ours, theirs)


def test_frozen_kernels_are_trained_around_and_never_pruned(keras, trained, tmp_path, capsys):
    net = keras.models.load_model(trained)
    net.get_layer("first").trainable = False
    net.save(tmp_path / "net.keras")
    before = net.get_layer("first").get_weights()
    flags = (f"--model={tmp_path / 'net.keras'}", "--epochs=1", *SHORT)
    capsys.readouterr()
    run = train(config(tmp_path / "run", *flags, "--method=da"))
    assert "1 frozen layer, left as they are without --unfreeze" in capsys.readouterr().out
    after = load_net(run.net_path)
    for ours, theirs in zip(after.get_layer("first").get_weights(), before):
        np.testing.assert_array_equal(ours, theirs)
    assert (after.get_layer("scores").kernel.numpy() != net.get_layer("scores").get_weights()[0]).any()
    with pytest.raises(Refusal, match=r"expected a net without frozen layers, --unfreeze, or --method=natural\|da, as"):
        train(config(tmp_path / "pruned", *flags, "--method=admm"))
    assert not (tmp_path / "pruned").exists()
    (tmp_path / "net.keras").rename(tmp_path / "elsewhere.keras")
    with pytest.raises(Refusal, match=rf"give --model={run.imported_path} too"):
        train(config(tmp_path / "other", "--method=da", "--epochs=1", f"--init_from={run.path}"))
    (tmp_path / "elsewhere.keras").rename(tmp_path / "net.keras")
    # --unfreeze trains all layers, from the file or from a run that holds the net.
    (tmp_path / "net.keras").unlink()
    pruned = train(config(tmp_path / "pruned", *flags, "--method=admm", "--unfreeze", f"--init_from={run.path}"))
    after = load_net(pruned.net_path).get_layer("first")
    assert after.trainable
    assert 0 < np.count_nonzero(after.kernel) < after.kernel.shape.num_elements()
    again = train(config(tmp_path / "again", *flags, "--method=da", f"--init_from={pruned.path}"))
    assert not load_net(again.net_path).get_layer("first").trainable


def test_weights_of_a_file_for_a_named_net(tmp_path):
    """--init_from=FILE with --model: the weights alone."""
    first = train(config(tmp_path / "first", "--width=0.2", "--method=none"))
    flags = (f"--init_from={first.net_path}", "--method=none")
    second = train(config(tmp_path / "second", *flags, "--width=0.2", "--seed=1"))
    for ours, theirs in zip(load_net(second.net_path).weights, load_net(first.net_path).weights):
        np.testing.assert_array_equal(ours, theirs)
    named = first.path.rename(tmp_path / "first.keras")  # a run directory with a file's name
    third = train(config(tmp_path / "named", f"--init_from={named}", "--method=none", "--width=0.2", "--seed=1"))
    np.testing.assert_array_equal(load_net(third.net_path).weights[0], load_net(second.net_path).weights[0])
    flags = (f"--init_from={named / 'model.keras'}", "--method=none")
    with pytest.raises(Refusal, match=r"expected weights of shape \(5, 5, 1, 6\) for conv1/kernel; got \(5, 5, 1, 4\)"):
        train(config(tmp_path / "third", *flags, "--width=0.3"))


def folder_of(tmp_path, classes):
    """A folder of own images of 28x28 pixels."""
    from PIL import Image

    generator = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in classes:
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(8):
                image = generator.integers(0, 256, (28, 28, 3)).astype(np.uint8)
                Image.fromarray(image).save(tmp_path / split / name / f"{number}.png")
    return tmp_path


def test_transfer_to_other_classes_keeps_all_but_the_last_layer(tmp_path, capsys):
    data = {name: folder_of(tmp_path / name, classes) for name, classes in (("a", "xy"), ("b", "pqr"))}
    own = ["--dataset=folder", "--image_size=28", "--width=0.2", "--batch_size=4"]
    first = train(parse(TrainConfig, [*own, f"--data_dir={data['a']}", f"--workdir={tmp_path / '1'}", "--method=none"]))
    flags = [*own, f"--data_dir={data['b']}", f"--init_from={first.path}", "--method=none"]
    second = train(parse(TrainConfig, [*flags, f"--workdir={tmp_path / '2'}"]))
    said = capsys.readouterr().out
    assert "a net of folder (2 classes); its last layer, logits, is new, for 3 classes" in said
    ours, theirs = (load_net(run.net_path) for run in (second, first))
    assert (ours.output_shape, theirs.output_shape) == ((None, 3), (None, 2))
    for layer in theirs.layers[:-1]:
        for kept, old in zip(ours.get_layer(layer.name).weights, layer.weights):
            np.testing.assert_array_equal(kept, old)
    assert second.classes == ("p", "q", "r")
    with pytest.raises(Refusal, match=r"--init_from=.*: expected weights of shape"):  # a dense layer needs this size
        train(parse(TrainConfig, [*flags, "--image_size=32", f"--workdir={tmp_path / '3'}"]))


def test_a_file_of_other_classes(keras, tmp_path):
    """It gets a new last layer for training; bin/import refuses it."""
    L = keras.layers
    net = keras.Sequential([keras.Input(SHAPE), L.Conv2D(4, 5, strides=4), L.Flatten(), L.Dense(3, "softmax")])
    net.save(tmp_path / "net.keras")
    with pytest.raises(Refusal, match=r"--input_scaling: expected one of .* got auto"):
        imported(tmp_path / "net.keras")
    net, record, _ = imported(tmp_path / "net.keras", scaling="-1..1")
    assert record.new_last_layer
    assert net.output_shape == (None, 10)
    with pytest.raises(Refusal, match="expected a net of 10 classes; got one of 3"):
        imported(tmp_path / "net.keras", scaling="0..1", replace_last=False)


def test_flags_of_a_file_need_a_file():
    for flag in ("--input_scaling=0..1", "--labels=x", "--unfreeze"):
        with pytest.raises(Refusal, match=f"^{flag.partition('=')[0]}: expected --model=FILE with it"):
            parse(TrainConfig, [flag])


def test_a_file_is_no_run_directory(trained, tmp_path):
    with pytest.raises(Refusal, match="expected a run directory; got a file: bin/import FILE makes one"):
        RunDirectory.open(trained)


def test_what_an_import_says_is_stored(trained, tmp_path):
    run = train(config(tmp_path / "run", f"--model={trained}", "--method=none"))
    record = json.loads((run.path / "imported.json").read_text())
    assert record["input_scaling"] == "0..255"
    assert record["keras"] == 3
    assert 0 <= record["difference"] < 1e-4


def test_a_net_in_disguise_is_refused(tmp_path):
    """Keras would read an HDF5 file without its safe mode, whatever its name."""
    net = tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Lambda(lambda x: x), tf_keras.layers.Dense(2)])
    net.save(tmp_path / "model.keras", save_format="h5")
    with pytest.raises(Refusal, match="expected a Keras net; got no zip archive"):
        load_net(tmp_path / "model.keras")
