"""The modes of bin/evaluate on nets whose worst cases are known."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from rich.console import Console

from export.formats import convert
from robust_tf import rundir
from robust_tf.compression.quantise import QUANTISERS, min_max, symmetric
from robust_tf.data import DATASETS
from robust_tf.evaluation import MODES
from robust_tf.evaluation.accuracy import inference
from robust_tf.evaluation.autoattack import VERSIONS
from robust_tf.evaluation.modes import ensemble
from robust_tf.evaluation.modes.ensemble import mixture
from robust_tf.evaluation.modes.minimal import quantile
from robust_tf.evaluation.modes.tflite import files, of_file, straight_through
from robust_tf.evaluation.settings import WRM
from robust_tf.evaluation.subject import Subject
from robust_tf.evaluation.tflite import interpreter, scorer, scores
from robust_tf.models.kernels import kernels
from robust_tf.refusal import Refusal

CONFIG = SimpleNamespace(seed=0, batch_size=16, workdir="none", file=None)


def linear_net(classes=2, seed=0):
    keras.utils.set_random_seed(seed)
    net = keras.Sequential([keras.Input((4, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(classes)])
    W, b = net.layers[-1].get_weights()
    net.layers[-1].set_weights([W, b - W.sum(0) / 2])  # the boundaries meet at grey
    return net


def subject_of(net, count=40):
    """Images near grey, where [0, 1] binds nowhere, all classified correctly but the first."""
    images = np.random.default_rng(0).integers(110, 146, (count, 4, 3, 1)).astype(np.uint8)
    labels = net(images / 255).numpy().argmax(-1)
    labels[0] = 1 - labels[0]
    trained_as = {"dataset": "digits", "eps": 0.1, "norm": "linf"}
    return Subject(net, inference(net), DATASETS["digits"], images, labels, trained_as, "digest")


def exact_radii(subject):
    """The least L-inf radius that fools a linear net of two classes: its margin / ||w_0 - w_1||_1."""
    W = subject.net.layers[-1].kernel.numpy()
    z = subject.net(subject.images / 255).numpy()
    ahead = np.where(subject.labels == 0, 1, -1) * (z[:, 0] - z[:, 1])
    return np.maximum(ahead, 0) / np.abs(W[:, 0] - W[:, 1]).sum()


def measured(mode, subject, asked, path=None, **config):
    asked = {"norm": "linf", "steps": 5, "restarts": 1, **asked}
    mode = MODES[mode].resolve()
    record = mode.measure(subject, asked, SimpleNamespace(**{**vars(CONFIG), **config}), path)
    console = Console(record=True, width=240)
    mode.show({"num_images": len(subject.images), "seed": 0, **asked, **record}, console)
    return record, console.export_text()


def test_curve_is_exact_and_ends_below_chance():
    subject = subject_of(linear_net())
    radii = exact_radii(subject)
    grid = [round(float(q), 4) for q in np.quantile(radii, [0.2, 0.4, 0.6, 0.8, 0.9])]
    record, shown = measured("curve", subject, {"radii": grid})
    expected = [float((radii > eps).mean()) for eps in grid]
    count = next(i for i, accuracy in enumerate(expected) if accuracy < 0.5) + 1
    assert [point["accuracy"] for point in record["curve"]] == expected[:count]
    assert count < len(grid)
    assert record["clean_accuracy"] == 39 / 40
    assert "below chance" in shown


def test_minimal_radii_are_exact_within_the_bisection(tmp_path):
    subject = subject_of(linear_net())
    exact = exact_radii(subject)
    top = float(np.quantile(exact, 0.9))
    path = tmp_path / "minimal.json"
    record, shown = measured("minimal", subject, {"radii": [top / 2, top], "bisections": 8}, path)
    found = np.array([np.inf if eps is None else eps for eps in record["least_radii"]])
    assert (np.isinf(found) == (exact > top)).all()
    within = np.isfinite(found)
    np.testing.assert_allclose(found[within], exact[within], atol=top / 2 / 2**8 + 1e-6)
    assert (found >= exact - 1e-6).all()
    with np.load(tmp_path / record["images"]) as saved:
        np.testing.assert_allclose(saved["eps"], found, atol=1e-6)
        moved = np.abs(saved["x_adv"] - subject.images / 255).max((1, 2, 3))
        assert (moved[within] <= found[within] + 1e-6).all()
        np.testing.assert_array_equal(saved["predicted"] != subject.labels, within)
        np.testing.assert_array_equal(subject.net(saved["x_adv"]).numpy().argmax(-1), saved["predicted"])
    assert "90%" in shown


def test_quantiles_by_hand():
    radii = np.array([0.3, 0.1, np.inf, 0.2])
    assert [quantile(radii, q) for q in (0.1, 0.25, 0.5, 0.75, 0.9)] == [0.1, 0.1, 0.2, 0.3, None]


def run_of(net, folder):
    """A run directory with nothing but the net in it."""
    folder.mkdir()
    net.save(folder / "model.keras")
    return str(folder)


@pytest.fixture
def any_config(monkeypatch):
    """Runs whose folders' names end with that of the data set."""

    def read(workdir):
        return {"dataset": Path(workdir).name.split("-")[-1], "model": "lenet"}

    monkeypatch.setattr(rundir, "read_config", read)


def test_transfer_is_white_box_on_itself_and_weaker_elsewhere(tmp_path, any_config):
    subject = subject_of(linear_net())
    same = run_of(linear_net(), tmp_path / "same-digits")
    other = run_of(linear_net(seed=1), tmp_path / "other-digits")
    eps = float(np.median(exact_radii(subject)))
    record, shown = measured("transfer", subject, {"radii": [eps / 2, eps], "targets": [same, other]})
    matrix = record["matrix"]
    assert matrix["itself"] == matrix[same] == [float((exact_radii(subject) > r).mean()) for r in (eps / 2, eps)]
    assert record["clean_accuracies"]["itself"] == 39 / 40
    assert other[-5:] in shown.replace("\n", "")
    wide = run_of(linear_net(classes=3), tmp_path / "wide-digits")
    with pytest.raises(Refusal, match="expected a net with output_shape"):
        measured("transfer", subject, {"radii": [eps], "targets": [wide]})
    foreign = run_of(linear_net(), tmp_path / "on-mnist")
    with pytest.raises(Refusal, match=r"--targets=.*: expected a run on digits; got one on mnist"):
        measured("transfer", subject, {"radii": [eps], "targets": [foreign]})


def test_the_mixture_is_the_mean_of_probabilities():
    one, other = linear_net(3, seed=0), linear_net(3, seed=1)
    x = tf.random.uniform((5, 4, 3, 1))
    mean = (tf.nn.softmax(one(x)) + tf.nn.softmax(other(x))) / 2
    np.testing.assert_allclose(tf.exp(mixture(one, other)(x)), mean, rtol=1e-5)


def test_ensemble_of_a_net_with_itself_is_that_net(tmp_path, any_config):
    subject = subject_of(linear_net())
    eps = float(np.median(exact_radii(subject)))
    natural = run_of(linear_net(), tmp_path / "natural-digits")
    record, shown = measured("ensemble", subject, {"eps": eps, "alpha": eps / 2, "natural": natural})
    expected = float((exact_radii(subject) > eps).mean())
    assert set(record["crafted_on"].values()) == {expected}
    assert record["robust_accuracy"] == expected
    assert "adaptive" in shown
    assert not any("too weak" in flag for flag in record["flags"])


def test_an_attack_on_the_ensemble_that_is_too_weak_is_flagged(tmp_path, any_config, monkeypatch):
    """Images of the ensemble that do not move, of its members that do."""
    crafted = ensemble.crafted
    both = linear_net()

    def lazily(name, logits_fn, x, *rest):
        return x if logits_fn is both else crafted(name, logits_fn, x, *rest)

    monkeypatch.setattr(ensemble, "crafted", lazily)
    monkeypatch.setattr(ensemble, "mixture", lambda one, other: both)
    subject = subject_of(linear_net())
    eps = float(np.median(exact_radii(subject)))
    natural = run_of(linear_net(), tmp_path / "natural-digits")
    record, _ = measured("ensemble", subject, {"eps": eps, "alpha": eps / 2, "natural": natural})
    assert sum("the attack on the ensemble is too weak" in flag for flag in record["flags"]) == 2


def test_generalise_shows_how_far_each_attack_moves():
    subject = subject_of(linear_net())
    eps = float(np.median(exact_radii(subject)))
    record, shown = measured("generalise", subject, {"eps": eps, "alpha": eps / 2, **WRM})
    expected = float((exact_radii(subject) > eps).mean())
    assert record["per_attack"]["fgsm"] == record["per_attack"]["ifgsm"] == expected
    assert record["mean_linf"]["fgsm"] == pytest.approx(eps, abs=1e-6)
    assert record["mean_l2"]["fgsm"] == pytest.approx(eps * 12**0.5, abs=1e-5)
    assert record["mean_l2"]["wrm"] > 0
    assert "no worst case" in shown


def test_attacks_with_autoattack_names_who_broke_what(tmp_path, monkeypatch):
    fewer = {"steps": 10, "queries": 100, "restarts": 1}
    quick = [(name, {key: fewer[key] for key in settings}) for name, settings in VERSIONS["standard"]]
    monkeypatch.setitem(VERSIONS, "standard", quick)
    subject = subject_of(linear_net(4, seed=3))
    subject.labels[0] = (subject.net(subject.images[:1] / 255).numpy().argmax() + 1) % 4
    asked = {"attacks": ["autoattack"], "version": "standard", "individual": False, "eps": 0.002}
    record, shown = measured("attacks", subject, asked, tmp_path / "aa.json")
    assert record["broken_by"][0] == "clean"
    by = record["broken_by"]
    left = 39
    for name in ("apgd_ce", "apgd_t", "fab_t", "square"):
        left -= by.count(name)
        assert record["per_attack"][name] == left / 40
    assert record["robust_accuracy"] == by.count(None) / 40
    with pytest.raises(Refusal, match="got one of another net"):  # what is left of it is of another net
        measured("attacks", subject._replace(digest="other"), asked, tmp_path / "aa.json")
    alone, _ = measured("attacks", subject, {**asked, "individual": True}, tmp_path / "alone.json")
    assert alone["robust_accuracy"] == record["robust_accuracy"]
    assert alone["per_attack"]["apgd_t"] >= record["per_attack"]["apgd_t"]
    assert "what is left" in shown


def test_quantised_nets(tmp_path):
    net = linear_net(3)
    w = kernels(net)[0]
    w.assign(tf.where(tf.abs(w) < 0.3, 0.0, w))
    subject = subject_of(net)
    asked = {"attacks": ["fgsm"], "eps": 0.001, "alpha": 0.001}
    record, shown = measured("quantised", subject, asked)
    of = record["nets"]
    assert of["symmetric"]["kernels_nonzero"] == of["float32"]["kernels_nonzero"] < 36
    assert of["min_max"]["kernels_nonzero"] == 36
    assert record["clean_accuracy"] == of["float32"]["clean_accuracy"]
    assert "min_max" in shown
    np.testing.assert_array_equal(subject.net.get_weights()[0], w)  # the net itself is left alone


@pytest.mark.parametrize("name", QUANTISERS)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantisers_round_to_the_nearest_of_their_levels(name, bits):
    w = np.random.default_rng(0).normal(size=(3, 3, 2, 5)).astype(np.float32)
    q = QUANTISERS[name](w, bits)
    channels = [w[..., i] for i in range(5)] if name == "symmetric" else [w]
    for values in channels:
        if name == "symmetric":
            top = np.abs(values).max()
            levels = np.linspace(-top, top, 2**bits - 1)
        else:
            levels = np.linspace(values.min(), values.max(), 2**bits)
        channel = next((i for i in range(5) if np.array_equal(w[..., i], values)), slice(None))
        rounded = q[..., channel].ravel()
        distance = np.abs(values.ravel()[:, None] - levels).min(1)
        np.testing.assert_allclose(np.abs(rounded - values.ravel()), distance, atol=1e-5)


def test_quantisers_of_nothing():
    zeros = np.zeros((3, 2), np.float32)
    np.testing.assert_array_equal(symmetric(zeros), zeros)
    np.testing.assert_array_equal(min_max(zeros + 0.5), zeros + 0.5)


def test_straight_through_has_the_files_value_and_the_twins_gradient():
    twin, judge = lambda x: 3.0 * x, lambda x: tf.round(3.0 * x)
    x = tf.constant([[0.4], [0.6]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = straight_through(judge, twin)(x)
    np.testing.assert_allclose(z, [[1.0], [2.0]])
    np.testing.assert_allclose(tape.gradient(z, x), [[3.0], [3.0]])


@pytest.mark.parametrize("form", ["float32", "int8"])
def test_the_files_scores_in_batches_and_its_robust_accuracy(tmp_path, form):
    net = linear_net()
    subject = subject_of(net)
    x = (subject.images / 255).astype(np.float32)
    path = tmp_path / f"model_{form}.tflite"
    path.write_bytes(convert(net, form, x))
    judge = scorer(path, (4, 3, 1), 2)
    np.testing.assert_allclose(judge(x), scores(interpreter(path, "ai_edge_litert"), x), atol=1e-5)
    np.testing.assert_allclose(judge(x[:3]), judge(x)[:3], atol=1e-5)
    radii = exact_radii(subject)
    eps = float(np.median(radii))
    asked = {"eps": eps, "alpha": eps / 2, "queries": 60}
    record, shown = measured("tflite", subject, asked, tmp_path / "t.json", file=str(path))
    again, _ = measured("tflite", subject, asked, tmp_path / "t.json", file=str(path))
    assert again["files"] == record["files"]  # seconds too: a file that is done is not attacked again
    of = record["files"][path.name]
    assert list(of["per_attack"])[-1] == "square on the file"
    assert path.name in shown
    if form == "float32":
        assert record["robust_accuracy"] == float((radii > eps).mean())
    else:
        low, high = (float((radii > factor * eps).mean()) for factor in (1.5, 0.5))
        assert low <= record["robust_accuracy"] <= high


def test_no_file_to_attack(tmp_path):
    with pytest.raises(Refusal, match=r"expected a \.tflite file"):
        files(SimpleNamespace(file=None, workdir=str(tmp_path)), "digest")
    with pytest.raises(Refusal, match="got none at absent"):
        files(SimpleNamespace(file="absent", workdir=str(tmp_path)), "digest")


def test_files_of_an_earlier_net_are_refused(tmp_path):
    config = SimpleNamespace(file=None, workdir=str(tmp_path))
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "model.tflite").write_bytes(convert(linear_net(), "float32"))
    for record, fits in (({}, False), ({"model_sha256": "old"}, False), ({"model_sha256": "digest"}, True)):
        rundir.write_json(tmp_path / "export" / "manifest.json", record)
        if fits:
            assert [path.name for path in files(config, "digest")] == ["model.tflite"]
        else:
            with pytest.raises(Refusal, match="expected files of this run's net"):
                files(config, "digest")


@pytest.mark.parametrize("shape", ["images", "scores"])
def test_a_file_for_other_images_or_classes_is_refused(tmp_path, shape):
    path = tmp_path / "model.tflite"
    path.write_bytes(convert(linear_net(), "float32"))
    expected = ((5, 3, 1), 2) if shape == "images" else ((4, 3, 1), 3)
    with pytest.raises(Refusal, match=f"expected {shape} of shape"):
        scorer(path, *expected)


def test_what_is_no_file_of_a_net_is_refused(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_text("not a flatbuffer")
    with pytest.raises(Refusal, match="expected a TFLite file that ai_edge_litert runs"):
        scorer(path, (4, 3, 1), 2)


def test_files_that_are_not_what_the_twin_is_are_flagged(tmp_path):
    subject = subject_of(linear_net())
    net = subject.net
    softmax = keras.Sequential([*net.layers, keras.layers.Softmax()])
    nets = {"own": net, "foreign": linear_net(seed=1), "softmax": keras.Sequential([keras.Input((4, 3, 1)), softmax])}
    signs = {"own": [], "foreign": ["away from the net's"], "softmax": ["probabilities", "away from the net's"]}
    for name, other in nets.items():
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(convert(other, "float32"))
        flags = of_file(scorer(path, (4, 3, 1), 2), subject)
        assert len(flags) == len(signs[name]), flags
        assert all(sign in flag for sign, flag in zip(signs[name], flags))
