"""Every net can be trained with every method, exported and evaluated, on 12x12 images of three classes.

By default every net goes through one ADMM step and the export, and a depthwise net through most methods; the full
product is slow.
"""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from robust_tf.compression.admm import Admm
from robust_tf.data import DATASETS, DataSet
from robust_tf.evaluation.accuracy import inference
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.evaluation.run import evaluate
from robust_tf.export.config import ExportConfig
from robust_tf.export.formats import convert
from robust_tf.export.tflite import compare, export
from robust_tf.flags.declare import parse
from robust_tf.models import MODELS
from robust_tf.models.kernels import count, kernels
from robust_tf.models.load import load_net
from robust_tf.projections.irregular import irregular
from robust_tf.refusal import Refusal
from robust_tf.report.runs import read_evaluation
from robust_tf.training.callbacks.constraint_updates import ConstraintUpdates
from robust_tf.training.config import TrainConfig
from robust_tf.training.constraints import from_admm
from robust_tf.training.methods import METHODS
from robust_tf.training.model import RobustModel
from robust_tf.training.run import train

LEAST = {"lenet": 16, "convnet_stl10": 96}  # smallest image side that a net accepts
WIDTH = {"wrn_16_8": 0.05}
NORMALISATION = ((0.5,) * 3, (0.25,) * 3)


def tiny(name):
    """A DataSet of 60 images with three classes, each of one colour."""

    def load(split, data_dir=None):
        labels = np.arange(60) % 3
        noise = np.random.default_rng(len(split)).integers(0, 100, (60, *shape))
        return (noise + 150 * np.eye(3)[labels][:, None, None]).astype(np.uint8), labels

    shape = (LEAST.get(name, 12),) * 2 + (3,)
    classes, varied = ("red", "green", "blue"), ("crop", "flip", "rotate")
    return DataSet(load, 60, shape, classes, 0.1, 0.5, NORMALISATION, varied, options=())


def build(name):
    keras.utils.set_random_seed(0)
    return MODELS[name](tiny(name).image_shape, 3, WIDTH.get(name, 0.25), normalisation=NORMALISATION)


@pytest.fixture(autouse=True)
def small_and_eager():
    """Eager execution: tracing a deep net takes longer than a few steps. Other tests run the graphs of small nets."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
    keras.backend.clear_session()


LONG = ("mobilenet_v2", "resnet34", "shufflenet_v1", "wrn_16_8")  # 10 s and more; others are of their kinds


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in MODELS]
)
def test_every_net_takes_an_admm_step_and_ships(name, tmp_path):
    net = build(name)
    images, labels = tiny(name).load("train")
    x, N = images.astype(np.float32) / 255, count(kernels(net))
    admm = Admm(kernels(net), partial(irregular, floor=0.1), rho=0.1)  # without floor a whole classifier may be pruned
    hold = from_admm(admm)
    model = RobustModel(net, eps=0.05, steps=1, constraint=hold)
    model.compile("sgd")
    before = [w.numpy() for w in kernels(net)]
    updates = ConstraintUpdates(hold, 1, lambda step: N // 5, lambda step: 0.1)
    model.fit(x[:8], labels[:8], batch_size=8, epochs=1, verbose=0, callbacks=[updates])
    assert all((w.numpy() != old).any() for w, old in zip(kernels(net), before))
    admm.project_hard(N // 5)
    assert sum(np.count_nonzero(w) for w in kernels(net)) == N // 5

    for layer in net.layers:
        layer.momentum = 0.0
    net(x[:8], training=True)  # batch-norm statistics of the pruned net
    path, logits = tmp_path / "model.tflite", inference(net)(x[:8]).numpy()
    assert np.ptp(logits, axis=0).max() > 1e-2  # they depend on the image
    path.write_bytes(convert(net, "float32"))
    compare(path, "float32", "ai_edge_litert", x[:8], logits)


TRAINING = [method for method in METHODS if method != "none"]
DEFAULT = {("resnet8", "atmc")}  # tests/training/test_run.py trains LeNet with all
PRODUCT = [
    pytest.param(name, method, marks=() if (name, method) in DEFAULT else pytest.mark.slow)
    for name in MODELS
    for method in TRAINING
]


@pytest.mark.parametrize(("name", "method"), PRODUCT)
def test_every_method_trains_every_net(name, method, tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "digits", tiny(name))
    flags = [f"--model={name}", f"--method={method}", f"--width={WIDTH.get(name, 0.25)}", "--optimizer=adam"]
    flags += ["--batch_size=24", "--epochs=2"]
    flags += [] if method in ("natural", "nap") else ["--steps=1"]
    flags += [] if method in ("da", "natural") else ["--ratio=0.5"]
    flags += {"admm": ["--finetune_epochs=1", "--admm_interval=2"]}.get(method, [])
    flags += {"alr": ["--pretrain_epochs=1"], "ap": ["--pretrain_epochs=1"]}.get(method, [])
    run = train(parse(TrainConfig, [f"--workdir={tmp_path}/run", *flags]))
    record, net = run.summary(), load_net(run.net_path, name)
    assert record.kernels_nonzero == sum(np.count_nonzero(w) for w in kernels(net))
    if method not in ("da", "natural", "atmc"):  # the product of the factors may have more non-zero weights
        assert record.kernels_nonzero <= round(0.5 * record.kernels_total)
    assert all(np.isfinite(w).all() for w in net.get_weights())


def own(input_shape, num_classes):
    """A user's own net."""
    layers = keras.layers
    return keras.Sequential(
        [keras.Input(input_shape), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(num_classes)]
    )


def test_own_images_and_an_own_net_go_the_whole_way(tmp_path):
    for split in ("train", "test"):
        for label, name in enumerate(("red", "green", "blue")):
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for i, image in enumerate(tiny("own").load(split)[0][label::3]):
                (folder / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    workdir = f"--workdir={tmp_path}/run"
    flags = ["--dataset=folder", f"--data_dir={tmp_path}/images", "--image_size=10x12", f"--model={__name__}:own"]
    flags += ["--method=da", "--steps=1", "--eps=0.02", "--batch_size=8", "--epochs=3", "--optimizer=adam"]
    summary = train(parse(TrainConfig, [workdir, *flags])).summary()
    assert summary.class_names == ("blue", "green", "red")
    assert summary.clean_accuracy > 0.9
    record = read_evaluation(evaluate(parse(EvaluateConfig, [workdir, "--steps=2"])))
    assert record.num_images == 60
    assert record.clean_accuracy > 0.9
    manifest = export(parse(ExportConfig, [workdir, "--formats=float32", "--steps=1"]))
    assert manifest.files[0].agreement == 1

    (tmp_path / "images" / "test" / "red").rename(tmp_path / "images" / "test" / "scarlet")
    (tmp_path / "images" / "train" / "red").rename(tmp_path / "images" / "train" / "scarlet")
    with pytest.raises(Refusal, match="expected the classes of the run, blue, green, red; got blue, green, s"):
        evaluate(parse(EvaluateConfig, [workdir]))
    with pytest.raises(Refusal, match="expected the classes of that run, blue, green, red; got blue, green, s"):
        train(parse(TrainConfig, [workdir, *flags, "--epochs=4"]))
    flags = [*(flag for flag in flags if "--steps" not in flag), f"--model={__name__}:unbounded", "--loss=ibp"]
    with pytest.raises(Refusal, match="interval bounds: expected supported layers; got layer_normalization"):
        train(parse(TrainConfig, [f"--workdir={tmp_path}/new", *flags]))
    assert not (tmp_path / "new").exists()


def unbounded(input_shape, num_classes):
    layers = keras.layers
    return keras.Sequential(
        [keras.Input(input_shape), layers.LayerNormalization(), layers.Flatten(), layers.Dense(num_classes)]
    )
