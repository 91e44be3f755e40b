"""A run on the user's own images: what it chooses, records and reads again, and that streaming changes nothing."""

import dataclasses
import json
import re
import shutil
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
import tf_keras as keras
from PIL import Image

from robust_tf.commands.train import check
from robust_tf.data import DATASETS, described, own_images
from robust_tf.data.folder import class_of
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.evaluation.run import evaluate
from robust_tf.export.config import ExportConfig
from robust_tf.export.golden import random_images
from robust_tf.export.tflite import export
from robust_tf.flags.declare import parse
from robust_tf.models.load import load_net
from robust_tf.records.record import write
from robust_tf.refusal import Refusal
from robust_tf.report.runs import read_evaluation
from robust_tf.training.callbacks.progress import EpochReport
from robust_tf.training.config import TrainConfig
from robust_tf.training.dry_run import dry_run
from robust_tf.training.fit import TrainingSetup
from robust_tf.training.images import check_unseen, to_train
from robust_tf.training.run import train
from robust_tf.training.rundir import RunDirectory
from robust_tf.training.workers import as_bytes

CLASSES = {"blue": ((0, 0, 200), 20), "green": ((0, 200, 0), 30), "red": ((200, 0, 0), 40)}  # colour, images
SUFFIXES = ("png", "jpg", "webp", "bmp")


def small(input_shape, num_classes):
    layers = keras.layers
    return keras.Sequential(
        [keras.Input(input_shape), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(num_classes)]
    )


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Images in class folders: films of 5 frames each, and equal pixels under two names."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name, (colour, count) in CLASSES.items():
        (folder / name).mkdir()
        for i in range(count):
            pixels = np.clip(rng.integers(0, 60, (14, 12, 3)) + np.array(colour) - 30, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{name}{i // 5}-{i}.{SUFFIXES[i % 4]}")
        for copy in range(4):
            shutil.copy(folder / name / f"{name}0-0.png", folder / name / f"{name}{9 + copy}-{copy}.png")
    return folder


@pytest.fixture
def images(original, tmp_path):
    return shutil.copytree(original, tmp_path / "images")


def flags(images, *more):
    own = ["--dataset=folder", f"--data_dir={images}", "--image_size=9x8", f"--model={__name__}:small"]
    return [*own, "--method=da", "--steps=1", "--eps=0.02", "--batch_size=8", "--epochs=2", "--optimizer=adam", *more]


def trained(images, workdir, *more):
    return train(parse(TrainConfig, [f"--workdir={workdir}", *flags(images, *more)]))


def weights(run):
    return load_net(run.net_path).get_weights()


def shown(images, capsys, *more):
    dry_run(parse(TrainConfig, flags(images, *more)))
    return capsys.readouterr().out


class Killed(BaseException):
    pass


def test_streamed_or_in_memory_the_weights_are_equal_also_after_a_resume(images, tmp_path, monkeypatch):
    """The streaming run is killed at the end of its last epoch, before the checkpoint."""
    more = ("--class_weights=balanced", "--grey", "--augment=flip")
    held = trained(images, tmp_path / "held", *more)

    def killed(self, epoch, logs=None):
        if epoch == 1:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(EpochReport, "on_epoch_end", killed)
        with pytest.raises(Killed):
            trained(images, tmp_path / "streamed", *more, "--memory=0")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(images / "red" / "new.png")  # no part of the run
    streamed = trained(images, tmp_path / "streamed", *more, "--memory=0")
    assert held.images == streamed.images
    for one, other in zip(weights(held), weights(streamed)):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert weights(held)[0].shape == (3, 3, 1, 4)
    assert held.summary().clean_accuracy == streamed.summary().clean_accuracy


def test_a_run_is_tested_on_the_files_that_it_recorded(images, tmp_path):
    run = trained(images, tmp_path / "run")
    chosen = run.images
    everything = [f"{path.parent.name}/{path.name}" for path in images.glob("*/*")]
    assert sorted(chosen.train + chosen.test) == sorted(everything)
    for name, (_, count) in CLASSES.items():
        assert sum(class_of(path) == name for path in chosen.test) == pytest.approx(0.2 * (count + 4), abs=1)
        equal = {f"{name}/{name}0-0.png", *(f"{name}/{name}{9 + copy}-{copy}.png" for copy in range(4))}
        assert equal <= set(chosen.train) or equal <= set(chosen.test)

    def measured(*more):
        config = parse(EvaluateConfig, [f"--workdir={run.path}", "--attacks=fgsm", *more])
        return read_evaluation(evaluate(config))

    before = measured()
    assert before.num_images == len(chosen.test)
    (images / "violet").mkdir()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(images / "red" / "new.png")
    after = measured(f"--data_dir={shutil.copytree(images, tmp_path / 'moved')}")
    assert (after.num_images, after.clean_accuracy) == (before.num_images, before.clean_accuracy)
    assert export(parse(ExportConfig, [f"--workdir={run.path}", "--formats=float32", "--steps=1"])).num_images == len(
        chosen.test
    )
    replaced = (images / chosen.test[0]).read_bytes()
    (images / chosen.test[0]).write_bytes((images / chosen.test[-1]).read_bytes())
    with pytest.raises(Refusal, match="expected the test images as the run recorded them; got changed files"):
        measured()
    (images / chosen.test[0]).write_bytes(replaced)
    assert measured().clean_accuracy == before.clean_accuracy
    (images / chosen.test[0]).unlink()
    with pytest.raises(Refusal, match=f"expected the .* test files of the run; got none at {chosen.test[0]}"):
        measured()
    with pytest.raises(Refusal, match=r"did not train on this run's test images; got .* that it trained on, "):
        check_unseen("init_from", run, chosen.train[:3])
    imported = SimpleNamespace(path="RUN", images=chosen, config=dataclasses.replace(run.config, method="none"))
    check_unseen("init_from", imported, chosen.train[:3])  # what a file was trained on is not known

    (images / chosen.train[0]).unlink()
    before = run.summary_path.stat().st_mtime_ns, run.net_path.read_bytes()
    command = [f"--workdir={run.path}", *flags(images)]
    check(parse(TrainConfig, command))
    assert trained(images, run.path).path == run.path  # nothing is left to train
    assert run.summary_path.stat().st_mtime_ns > before[0]
    assert run.net_path.read_bytes() == before[1]
    shutil.move(images, tmp_path / "gone")
    check(parse(TrainConfig, command))
    assert trained(images, run.path).path == run.path
    with pytest.raises(Refusal, match=f"expected a folder {images}"):
        check(parse(TrainConfig, [*command, "--epochs=3"]))
    shutil.move(tmp_path / "gone", images)
    (images / "violet").rmdir()
    with pytest.raises(Refusal, match=f"expected the .* train files of the run; got none at {chosen.train[0]}"):
        trained(images, run.path, "--epochs=3")

    record = json.loads(run.images_path.read_text())
    for wrong in ("../secret/a.png", "/etc/secret/a.png", "a.png"):
        run.images_path.write_text(json.dumps(record | {"test": [wrong]}))
        with pytest.raises(Refusal, match=r"images\.json: expected the record OwnImages"):
            measured()


def test_evaluation_and_export_stream(images, tmp_path):
    run = trained(images, tmp_path / "run", "--epochs=1")
    found = []
    for memory in (1, 0):
        config = json.loads((run.path / "config.json").read_text())
        (run.path / "config.json").write_text(json.dumps(config | {"memory": memory}))
        asked = [f"--workdir={run.path}", "--attacks=fgsm,pgd", "--steps=2", "--batch_size=7"]
        record = read_evaluation(evaluate(parse(EvaluateConfig, asked)))
        asked = [f"--workdir={run.path}", "--formats=float32,int8", "--steps=1", "--bundle"]
        manifest = export(parse(ExportConfig, asked))
        with tarfile.open(run.export / "bundle.tar.gz") as archive:  # one's own images are not given away unasked
            assert not any(name.endswith("sample.npz") for name in archive.getnames())
        with np.load(run.export / "golden.npz") as golden:
            np.testing.assert_array_equal(golden["images"], random_images(golden["images"].shape[1:]))
        with np.load(run.export / "sample.npz") as sample:
            pixels = sample["images"]
        manifest = re.sub(r"seconds=[\d.]+", "", str(manifest))
        found.append((record.robust_accuracy, record.per_attack, record.certified_accuracy, manifest, pixels))
    assert found[0][:4] == found[1][:4]
    np.testing.assert_array_equal(found[0][4], found[1][4])


def test_the_folder_is_shown_before_training(images, capsys):
    (images / "red" / "notes\nold.txt").write_text("x")
    (images / "green" / "cut.jpg").write_bytes((images / "green" / "green0-1.jpg").read_bytes()[:300])
    shutil.copy(images / "red" / "red1-5.jpg", images / "blue" / "blue7-7.jpg")
    with pytest.raises(Refusal, match=r"1 unreadable: green/cut\.jpg \(.*[Tt]runcated.*; --skip_unreadable leaves"):
        dry_run(parse(TrainConfig, flags(images)))
    first = capsys.readouterr().out
    assert r"skipped: red/notes\nold.txt: not named as an image" in first
    assert "unreadable: green/cut.jpg: " in first
    text = shown(images, capsys, "--skip_unreadable")
    rows = {
        row[1]: row[3:-1:2] for row in map(str.split, text.partition("skipped:")[0].splitlines()) if row[:1] == ["│"]
    }
    assert rows["blue"] == ["25", "20", "5", "0", "0"]
    assert rows["green"][0::3] == ["34", "0"]
    assert rows["red"][3:] == ["1", "0"]
    assert rows["all"] == ["103", *rows["all"][1:3], "1", "1"]
    assert sum(map(int, rows["all"][1:3])) == 103
    assert "imbalance: red has" in text
    assert "--class_weights=balanced gives" in text
    assert "warning: 1 image in several classes, by the pixels, such as " in text


def test_films_stay_together(images):
    (images / "red" / "unreadable.png").write_text("left out, so that it needs no match")
    config = parse(TrainConfig, flags(images, r"--group_by=^[a-z]+\d+", "--test_fraction=0.3", "--skip_unreadable"))
    _, files = to_train(config, described("folder", str(images), (9, 8)))
    films = [{path.partition("-")[0] for path in side} for side in (files.train, files.test)]
    assert films[0].isdisjoint(films[1])
    assert sum(map(len, films)) == len({path.partition("-")[0] for path in files.train + files.test})


def test_seeds_are_tested_on_the_same_images(images, tmp_path):
    """And a run that drew its split with --seed, before --split_seed was there, resumes with the split it recorded."""

    def chosen(*more):
        asked = parse(TrainConfig, flags(images, *more))
        return to_train(asked, described("folder", str(images), (9, 8)))[1]

    assert chosen("--seed=1") == chosen("--seed=2") == chosen("--split_seed=0") != chosen("--split_seed=1")
    run, old = RunDirectory(tmp_path / "run"), chosen("--split_seed=1")
    run.path.mkdir()
    run.claim(parse(TrainConfig, flags(images, "--seed=1")))
    write(run.images_path, old)
    record = json.loads((run.path / "config.json").read_text())
    del record["split_seed"]
    (run.path / "config.json").write_text(json.dumps(record))
    assert chosen("--seed=1", f"--workdir={run.path}") == old
    with pytest.raises(Refusal, match="expected the flags of that run, --split_seed=0; got --split_seed=1"):
        chosen("--seed=1", "--split_seed=1", f"--workdir={run.path}")


def divided(images):
    """The same images in train/ and test/, with one image on both sides."""
    for name in CLASSES:
        paths = sorted((images / name).iterdir())
        for side, chosen in (("train", paths[4:]), ("test", paths[:4])):
            (images / side / name).mkdir(parents=True)
            for path in chosen:
                path.rename(images / side / name / path.name)
        (images / name).rmdir()
    shutil.copy(next((images / "train" / "red").iterdir()), images / "test" / "red" / "copy.bin.jpg")
    return images


def test_a_folder_that_is_divided_stays_so(images, tmp_path, capsys):
    divided(images)
    for flag in ("--test_fraction=0.5", "--split_seed=1", "--group_by=x"):
        with pytest.raises(Refusal, match=f"{flag.partition('=')[0]}: expected a folder without train/ and test/"):
            trained(images, tmp_path / "run", flag)
    (images / "test" / "red" / "bad.png").write_text("x")
    with pytest.raises(Refusal, match=r"1 unreadable: test/red/bad\.png"):
        trained(images, tmp_path / "run", "--epochs=1")
    assert not (tmp_path / "run").exists()
    run = trained(images, tmp_path / "run", "--epochs=1", "--skip_unreadable")
    assert "with the pixels of training images, such as test/" in capsys.readouterr().out
    assert run.images.test is None
    record = read_evaluation(evaluate(parse(EvaluateConfig, [f"--workdir={run.path}", "--attacks=fgsm"])))
    assert record.num_images == 13
    for path in (images / "train" / "blue").iterdir():
        path.write_text("no image")
    with pytest.raises(Refusal, match="expected readable training images in each class; got none in blue"):
        trained(images, tmp_path / "other", "--skip_unreadable")


def test_a_damaged_file_ends_a_streaming_run_in_one_line_and_keeps_it(images, tmp_path):
    trained(images, tmp_path / "run", "--memory=0", "--epochs=1")
    before = (tmp_path / "run" / "model.keras").read_bytes()
    damaged = images / RunDirectory(tmp_path / "run").images.train[0]
    content = damaged.read_bytes()
    damaged.write_text("no image")
    with pytest.raises(Refusal, match=rf"expected readable images; got {damaged} \(no image in a known format"):
        trained(images, tmp_path / "run", "--memory=0", "--epochs=2")
    assert (tmp_path / "run" / "model.keras").read_bytes() == before
    damaged.write_bytes(content)
    assert len(trained(images, tmp_path / "run", "--memory=0", "--epochs=2").history()) == 2


def test_class_weights_come_from_the_training_labels():
    labels = np.array([0] * 30 + [1] * 10)
    config = parse(TrainConfig, ["--class_weights=balanced"])
    setup = TrainingSetup(config, None, None, (None, labels), None, 0, None)
    np.testing.assert_allclose(setup.class_weights(small((8, 8, 1), 2)), [2 / 3, 2])
    assert setup._replace(config=parse(TrainConfig, [])).class_weights(None) is None
    assert "class_weights" not in DATASETS["folder"].options  # it applies to all data sets


def test_workers_compare_images_in_files_as_they_compare_arrays(images):
    _, files = to_train(parse(TrainConfig, flags(images)), described("folder", str(images), (9, 8)))
    x, y = own_images(described("folder", str(images), (9, 8)), files).load("train", str(images))
    assert len(x) == len(y) == len(files.train)
    assert b"".join(as_bytes(x, batch_size=7)) == b"".join(as_bytes(np.asarray(x)))
