"""What `import robust_tf` offers: the whole way on tiny nets, against closed forms, and one line for each mistake."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import robust_tf
from robust_tf import api
from robust_tf.attacks import AUTOATTACK
from robust_tf.evaluation import ATTACKED
from robust_tf.models.kernels import count, kernels
from robust_tf.records.history import read_history
from robust_tf.refusal import Refusal


def test_import_is_light_and_lists_what_it_offers():
    program = (
        "import sys, robust_tf\n"
        "assert set(robust_tf.__all__) <= set(dir(robust_tf))\n"
        "light = not {'tensorflow', 'tf_keras', 'numpy'} & set(sys.modules)\n"
        "assert 'lenet' in robust_tf.MODELS and robust_tf.Refusal\n"
        "print(light, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "True False\n", done.stderr
    for name in robust_tf.__all__:
        assert getattr(robust_tf, name) is not None
    assert robust_tf.RobustModel is api.RobustModel
    with pytest.raises(AttributeError, match="has no attribute 'evaluat'"):
        robust_tf.evaluat  # noqa: B018


FEW = {"eps": 0.05, "epochs": 2, "steps": 1, "batch_size": 8}


@pytest.fixture
def images():
    """40 images of three classes, uint8: dark, grey and bright; and their labels."""
    generator = np.random.default_rng(0)
    y = np.arange(40) % 3
    return (generator.integers(0, 60, (40, 6, 5, 2)) + 80 * y[:, None, None, None]).astype(np.uint8), y


def test_train_returns_a_trained_copy_and_resumes(small_net, images, tmp_path):
    x, y = images
    before = small_net.get_weights()
    call = {**FEW, "optimizer": "adam", "learning_rate": 0.01, "workdir": tmp_path / "run"}
    net = robust_tf.train(small_net, x, y, **call)
    for ours, theirs in zip(before, small_net.get_weights()):
        np.testing.assert_array_equal(ours, theirs)
    first, *_, last = read_history(tmp_path / "run" / "history.csv")
    assert last.epoch == 1
    assert last.loss < first.loss
    again = robust_tf.train(small_net, x / 255, np.eye(3)[y], **FEW, optimizer="adam", learning_rate=0.01)
    resumed = robust_tf.train(small_net, x, y, **call)
    for ours, others, same in zip(net.get_weights(), again.get_weights(), resumed.get_weights()):
        np.testing.assert_allclose(ours, others, atol=1e-5)
        np.testing.assert_array_equal(ours, same)
    for other, message in (
        ({"seed": 1}, r"expected the flags of the call that made it, seed=\(default\); got seed=1"),
        ({"x": x[::-1]}, "expected the net and images of the call that made it; got others"),
        ({"epochs": 1}, "expected epochs >= 2, as trained; got 1"),
    ):
        with pytest.raises(Refusal, match=message):
            robust_tf.train(small_net, **{"x": x, "y": y, **call, **other})
    other = keras.models.clone_model(small_net)
    other.set_weights([2 * w for w in before])
    with pytest.raises(Refusal, match=r"expected the net's initial weights of the call .*set_random_seed"):
        robust_tf.train(other, x, y, **call)


def test_more_epochs_continue_a_finished_call(small_net, images, tmp_path):
    call = {**FEW, "eps_schedule": "0:0.05", "workdir": tmp_path / "run"}  # by default it stretches to the new length
    robust_tf.train(small_net, *images, **call)
    (tmp_path / "run" / "checkpoints" / "dense-from-0" / "final-2.weights.h5").stat()
    longer = robust_tf.train(small_net, *images, **{**call, "epochs": 3})
    assert [row.epoch for row in read_history(tmp_path / "run" / "history.csv")] == [0, 1, 2]
    at_once = robust_tf.train(small_net, *images, **{**call, "epochs": 3, "workdir": None})
    for ours, theirs in zip(longer.get_weights(), at_once.get_weights()):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_net_that_predicts_one_class_is_named(small_net, images, capsys):
    x, y = (np.tile(each, (8,) + (1,) * (each.ndim - 1)) for each in images)
    net = robust_tf.train(small_net, x, y, **FEW, learning_rate=0.01)
    assert "warning" not in capsys.readouterr().out
    dead = keras.models.clone_model(net)
    for layer in dead.layers:
        layer.set_weights([0 * w for w in layer.get_weights()])
    robust_tf.train(dead, x, y, **{**FEW, "epochs": 1}, learning_rate=0, optimizer="sgd")
    assert "warning: the net predicts class 0 for all of 64 images" in capsys.readouterr().out
    found = robust_tf.autoattack(dead, x[:60], y[:60], 0.05, version="thesis")
    assert found.flags[0] == "the net predicts class 0 for all of 60 images"


def test_compress_keeps_the_fraction(small_net, images):
    net = robust_tf.compress(small_net, *images, ratio="1/4", admm_interval=2, **FEW)
    N = count(kernels(small_net))
    assert sum(np.count_nonzero(w) for w in kernels(net)) == round(N / 4)
    assert sum(np.count_nonzero(w) for w in kernels(small_net)) == N


@pytest.fixture
def linear():
    """(net, x, y): one dense layer on images far from 0 and 1; the labels are those of the net for two images of 3."""
    keras.utils.set_random_seed(1)
    net = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(4)])
    x = np.random.default_rng(1).uniform(0.3, 0.7, (12, 4, 4, 1)).astype(np.float32)
    y = np.argmax(net(x), -1)
    return net, x, np.where(np.arange(12) % 3, y, (y + 1) % 4)


def robust_by_hand(net, x, y, eps):
    """Whether z_y - z_j > eps |W_y - W_j|_1 for all j: no perturbation up to eps changes the class."""
    W, z = net.layers[-1].kernel.numpy(), net(x).numpy()
    return np.array(
        [
            all(row[c] - row[j] > eps * np.abs(W[:, c] - W[:, j]).sum() for j in range(4) if j != c)
            for row, c in zip(z, y)
        ]
    )


def test_attack_and_certificate_of_a_linear_net_are_exact(linear):
    net, x, y = linear
    margins = [eps for eps in np.linspace(0.001, 0.1, 30) if robust_by_hand(net, x, y, eps).any()]
    eps = float(margins[len(margins) // 2])
    expected = robust_by_hand(net, x, y, eps)
    assert 0 < expected.sum() < 8
    proven = robust_tf.certify(net, x, y, eps)
    np.testing.assert_array_equal(proven.certified, expected)
    assert proven.accuracy == expected.mean()

    W, b = net.layers[-1].kernel, net.layers[-1].bias
    found = robust_tf.autoattack(lambda images: tf.reshape(images, (-1, 16)) @ W + b, x, y, eps)  # no Keras net
    np.testing.assert_array_equal(found.robust, expected)
    assert (found.clean_accuracy, found.robust_accuracy) == (pytest.approx(8 / 12), pytest.approx(expected.mean()))
    np.testing.assert_array_equal(np.argmax(net(found.adversarial), -1) == y, expected)
    assert np.abs(found.adversarial - x).max() <= eps + 1e-6
    np.testing.assert_array_equal(found.adversarial[expected], x[expected])
    assert [by is None for by in found.broken_by] == list(expected)
    assert found.per_attack["square"] == found.robust_accuracy
    assert found.not_attacked is None


def test_autoattack_leaves_out_what_is_certified(linear, monkeypatch):
    net, x, y = linear
    x, y, eps = np.tile(x, (10, 1, 1, 1)), np.tile(y, 10), 0.02
    monkeypatch.setitem(AUTOATTACK, "standard", (("apgd_ce", {"steps": 5, "restarts": 1}),))
    found = robust_tf.autoattack(net, x, y, eps)
    expected = robust_by_hand(net, x, y, eps)
    np.testing.assert_array_equal(found.robust, expected)
    assert found.not_attacked == expected.sum() - ATTACKED > 0


def test_export_and_benchmark(linear, tmp_path):
    net, x, _ = linear
    path = tmp_path / "net.tflite"
    compared = robust_tf.export_tflite(net, path, images=x)
    assert all(each.agreement == 1 for each in compared)
    interpreter = tf.lite.Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x[:1])
    interpreter.invoke()
    scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(scores, net(x[:1]), atol=1e-5)
    (timing,) = robust_tf.benchmark(path, runs=10)
    assert (timing.file, timing.bytes) == ("net.tflite", path.stat().st_size)
    assert timing.mean_ms > 0

    content = path.read_bytes()
    odd = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(4, use_bias=False)])
    odd.layers[-1].kernel.assign(np.full((16, 4), np.nan, np.float32))
    with pytest.raises(
        Refusal, match="expected a file of format float32 that agrees with the net on the images; got none: in "
    ):
        robust_tf.export_tflite(odd, path, images=x)
    few = (
        r"expected a file of format int8 that .*; got none: .* \(its ranges come from 12 images; up to 200 are used\)$"
    )
    with pytest.raises(Refusal, match=few):
        robust_tf.export_tflite(odd, path, images=x, format="int8")
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["net.tflite"]


def no_gradient(x):
    return tf.cast(tf.argsort(tf.reduce_sum(x, (2, 3))), tf.float32)


MISTAKES = {
    "radius": (lambda n, x, y: api.train(n, x, y, eps=8), "--eps: .*; got 8; did you mean 8/255?"),
    "flag": (lambda n, x, y: api.train(n, x, y, eps=0.1, epoch=3), "got --epoch; did you mean --epochs?"),
    "method": (
        lambda n, x, y: api.train(n, x, y, eps=0.1, method="admm"),
        "method: expected one of natural, da; got 'admm'; did you mean compress?",
    ),
    "misspelt": (
        lambda n, x, y: api.train(n, x, y, eps=8, method="natrual", ratio=2),
        "method: expected one of natural, da; got 'natrual'; did you mean natural?",
    ),
    "none": (
        lambda n, x, y: api.train(n, x, y, eps=0.1, method="none"),
        "method: expected one of natural, da; got 'none'",
    ),
    "dense": (
        lambda n, x, y: api.compress(n, x, y, eps=0.1, ratio=0.1, method="da"),
        "method: expected one of nap, ap, alr, l0, hydra, admm, atmc; got 'da'; did you mean train?",
    ),
    "ratio": (lambda n, x, y: api.compress(n, x, y, eps=0.1, ratio=2), r"--ratio=2: expected a number .* in \(0, 1\]"),
    "data": (lambda n, x, y: api.train(n, x, y, eps=0.1, dataset="mnist"), "dataset: expected net, x and y in place"),
    "batch": (
        lambda n, x, y: api.train(n, x, y, eps=0.1, batch_size=11),
        "--batch_size: expected at most the 10 training images",
    ),
    "few": (lambda n, x, y: api.train(n, x[:4], y[:4], eps=0.1), "x: expected at least 5 images"),
    "pixels": (
        lambda n, x, y: api.certify(n, x * 255, y, 0.1),
        r"x: expected pixels in \[0, 1\]; got .*; divide by 255",
    ),
    "text": (
        lambda n, x, y: api.certify(n, x, ["a"] * 12, 0.1),
        "y: expected an array of labels, as numbers; got text",
    ),
    "labels": (lambda n, x, y: api.autoattack(n, x, y + 9, 0.1), "y: expected labels from 0 to 3, the net's classes"),
    "radius of an attack": (lambda n, x, y: api.autoattack(n, x, y, 8), "--eps: .*; got 8; did you mean 8/255?"),
    "no radius": (lambda n, x, y: api.autoattack(n, x, y, None), "--eps: expected a radius in pixels"),
    "no images": (lambda n, x, y: api.certify(n, x[:0], y[:0], 0.1), "x: expected at least one image; got none"),
    "formats": (lambda n, x, y: api.export_tflite(n, "a.tflite", images=x, format=["int8"]), "format: expected one of"),
    "version": (lambda n, x, y: api.autoattack(n, x, y, 0.1, version="standrad"), "did you mean standard?"),
    "gradient": (lambda n, x, y: api.autoattack(no_gradient, x, y, 0.1), "net: expected logits with a gradient"),
    "numpy": (
        lambda n, x, y: api.autoattack(lambda x: np.asarray(x)[:, :, 0, 0], x, y, 0.1),
        "net: expected a function in TensorFlow, images -> logits; got",
    ),
    "probabilities": (
        lambda n, x, y: api.autoattack(lambda x: tf.nn.softmax(n(x)), x, y, 0.1),
        "net: expected logits; got probabilities",
    ),
    "no net": (lambda n, x, y: api.certify("net.keras", x, y, 0.1), "net: expected a tf_keras model; got builtins.str"),
    "format": (lambda n, x, y: api.export_tflite(n, "a.tflite", images=x, format="int-8"), "format: .* got 'int-8'"),
    "path": (lambda n, x, y: api.export_tflite(n, "absent/a.tflite", images=x), "path: expected a file NAME.tflite"),
    "file": (lambda n, x, y: api.benchmark("absent.tflite"), "benchmark: expected a .tflite file or a folder of them"),
    "runs": (lambda n, x, y: api.benchmark(".", runs=0), "benchmark: argument --runs: expected an integer >= 1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused_in_one_line(linear, mistake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, message = MISTAKES[mistake]
    with pytest.raises(Refusal, match=message.replace("?", r"\?")) as refusal:
        call(*linear)
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_a_net_in_a_net_is_attacked_as_it_is(linear):
    """And not certified: the bounds know flat nets."""
    net, x, y = linear
    nested = keras.Sequential([keras.Input((4, 4, 1)), net])
    function, shape, classes = api._logits_of(nested, x)
    np.testing.assert_allclose(function(x), net(x), atol=1e-6)
    assert (shape, classes) == ((None, None, None), 4)
    with pytest.raises(Refusal, match="net: expected a net without nested models"):
        api.certify(nested, x, y, 0.1)
