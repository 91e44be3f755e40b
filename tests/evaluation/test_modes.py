"""The modes of bin/evaluate on nets whose worst cases are known."""

import dataclasses
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from rich.console import Console

from robust_tf.attacks import AUTOATTACK
from robust_tf.compression import atmc
from robust_tf.compression.quantise import symmetric
from robust_tf.data import DATASETS
from robust_tf.evaluation import ATTACKED, MODES, certificates
from robust_tf.evaluation.accuracy import inference
from robust_tf.evaluation.config import EvaluateConfig
from robust_tf.evaluation.modes import ensemble
from robust_tf.evaluation.modes.ensemble import mixture
from robust_tf.evaluation.modes.minimal import quantile
from robust_tf.evaluation.modes.quantised import quantised
from robust_tf.evaluation.modes.tflite import file_signs, files, straight_through
from robust_tf.evaluation.settings import resolved
from robust_tf.evaluation.subject import Subject
from robust_tf.evaluation.tflite import installed_runtimes, interpreter, processor, scorer, scores
from robust_tf.export.formats import convert
from robust_tf.files import digest
from robust_tf.flags.declare import parse, read
from robust_tf.flags.kinds import as_text
from robust_tf.models.kernels import kernels
from robust_tf.records.evaluation import CraftedOn
from robust_tf.records.manifest import Manifest
from robust_tf.records.record import read as read_record
from robust_tf.records.record import write
from robust_tf.refusal import BrokenCertificate, Refusal
from robust_tf.training.config import TrainConfig
from robust_tf.training.rundir import RunDirectory


def linear_net(classes=2, seed=0):
    keras.utils.set_random_seed(seed)
    net = keras.Sequential([keras.Input((4, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(classes)])
    W, b = net.layers[-1].get_weights()
    net.layers[-1].set_weights([W, b - W.sum(0) / 2])  # the boundaries meet at grey
    return net


def run_of(net, folder, dataset="digits"):
    """A run directory with a net and its configuration."""
    run = RunDirectory(folder)
    run.claim(parse(TrainConfig, [f"--dataset={dataset}", "--method=da", "--eps=0.1"]))
    net.save(run.net_path)
    return run


@pytest.fixture
def subject_of(tmp_path):
    """subject_of(net): images near grey, where [0, 1] binds nowhere, all classified correctly but the first."""

    def make(net, count=40):
        images = np.random.default_rng(0).integers(110, 146, (count, 4, 3, 1)).astype(np.uint8)
        labels = net(images / 255).numpy().argmax(-1)
        labels[0] = 1 - labels[0]
        return Subject(run_of(net, tmp_path / "run"), net, inference(net), DATASETS["digits"], images, labels)

    return make


def exact_radii(subject):
    """The least L-inf radius that fools a linear net of two classes: its margin / ||w_0 - w_1||_1."""
    W = subject.net.layers[-1].kernel.numpy()
    z = subject.net(subject.images / 255).numpy()
    ahead = np.where(subject.labels == 0, 1, -1) * (z[:, 0] - z[:, 1])
    return np.maximum(ahead, 0) / np.abs(W[:, 0] - W[:, 1]).sum()


def measured(mode, subject, saved="record.json", **flags):
    """(record, what it shows) of a mode with these flags."""
    flags = {"mode": mode, "workdir": subject.run.path, "steps": 5, "batch_size": 16, **flags}
    config, _ = read(EvaluateConfig, [f"--{name}={as_text(value)}" for name, value in flags.items()])
    asked, module = resolved(config.checked(), subject.run.config), MODES[mode].resolve()
    record = module.measure(subject, asked, subject.run.path / saved)
    console = Console(record=True, width=240)
    module.show(record, console)
    return record, console.export_text()


def test_curve_is_exact_and_ends_below_chance(subject_of):
    subject = subject_of(linear_net())
    radii = exact_radii(subject)
    grid = [round(float(q), 4) for q in np.quantile(radii, [0.2, 0.4, 0.6, 0.8, 0.9])]
    record, shown = measured("curve", subject, radii=tuple(grid))
    expected = [float((radii > eps).mean()) for eps in grid]
    count = next(i for i, accuracy in enumerate(expected) if accuracy < 0.5) + 1
    assert [point.accuracy for point in record.curve] == expected[:count]
    assert count < len(grid)
    assert record.clean_accuracy == 39 / 40
    assert "below chance" in shown


def test_minimal_radii_are_exact_within_the_bisection(subject_of):
    subject = subject_of(linear_net())
    exact = exact_radii(subject)
    top = float(np.quantile(exact, 0.9))
    record, shown = measured("minimal", subject, radii=(top / 2, top), bisections=8, skip_certified=False)
    found = np.array([np.inf if eps is None else eps for eps in record.least_radii])
    assert (np.isinf(found) == (exact > top)).all()
    within = np.isfinite(found)
    np.testing.assert_allclose(found[within], exact[within], atol=top / 2 / 2**8 + 1e-6)
    assert (found >= exact - 1e-6).all()
    with np.load(subject.run.path / record.images) as saved:
        np.testing.assert_allclose(saved["eps"], found, atol=1e-6)
        moved = np.abs(saved["x_adv"] - subject.images / 255).max((1, 2, 3))
        assert (moved[within] <= found[within] + 1e-6).all()
        np.testing.assert_array_equal(saved["predicted"] != subject.labels, within)
        np.testing.assert_array_equal(subject.net(saved["x_adv"]).numpy().argmax(-1), saved["predicted"])
    assert "90%" in shown
    spared = measured("minimal", subject, radii=(top / 2, top), bisections=8)[0]
    assert spared.not_attacked == tuple(max(int((exact > eps).sum()) - ATTACKED, 0) for eps in (top / 2, top))
    assert dataclasses.replace(spared, not_attacked=None, seconds=0) == dataclasses.replace(record, seconds=0)


def test_quantiles_by_hand():
    radii = np.array([0.3, 0.1, np.inf, 0.2])
    assert [quantile(radii, q) for q in (0.1, 0.25, 0.5, 0.75, 0.9)] == [0.1, 0.1, 0.2, 0.3, None]


def test_transfer_is_white_box_on_itself_and_weaker_elsewhere(subject_of, tmp_path):
    subject = subject_of(linear_net())
    same = str(run_of(linear_net(), tmp_path / "same").path)
    other = str(run_of(linear_net(seed=1), tmp_path / "other").path)
    eps = float(np.median(exact_radii(subject)))
    record, shown = measured("transfer", subject, radii=(eps / 2, eps), targets=(same, other))
    matrix = record.matrix
    expected = tuple(float((exact_radii(subject) > r).mean()) for r in (eps / 2, eps))
    assert matrix["itself"] == matrix[same] == expected
    assert record.clean_accuracies["itself"] == 39 / 40
    assert other[-5:] in shown.replace("\n", "")
    wide = run_of(linear_net(classes=3), tmp_path / "wide")
    with pytest.raises(Refusal, match="expected a net with output_shape"):
        measured("transfer", subject, radii=(eps,), targets=(str(wide.path),))
    foreign = run_of(linear_net(), tmp_path / "foreign", "mnist")
    with pytest.raises(Refusal, match=r"--targets=.*: expected a run on digits; got one on mnist"):
        measured("transfer", subject, radii=(eps,), targets=(str(foreign.path),))


def test_the_mixture_is_the_mean_of_probabilities():
    one, other = linear_net(3, seed=0), linear_net(3, seed=1)
    x = tf.random.uniform((5, 4, 3, 1))
    mean = (tf.nn.softmax(one(x)) + tf.nn.softmax(other(x))) / 2
    np.testing.assert_allclose(tf.exp(mixture(one, other)(x)), mean, rtol=1e-5)


def test_ensemble_of_a_net_with_itself_is_that_net(subject_of, tmp_path):
    subject = subject_of(linear_net())
    eps = float(np.median(exact_radii(subject)))
    natural = run_of(linear_net(), tmp_path / "natural").path
    record, shown = measured("ensemble", subject, eps=eps, alpha=eps / 2, natural=natural)
    expected = float((exact_radii(subject) > eps).mean())
    everywhere = CraftedOn(natural=expected, robust=expected, ensemble=expected)
    assert record.crafted_on == record.crafted_on_by_cw == everywhere
    assert record.robust_accuracy == expected
    assert "adaptive" in shown
    assert not any("too weak" in flag for flag in record.flags)


def test_an_attack_on_the_ensemble_that_is_too_weak_is_flagged(subject_of, tmp_path, monkeypatch):
    """Images of the ensemble that do not move, of its members that do."""
    crafted = ensemble.crafted
    both = linear_net()

    def lazily(name, logits_fn, x, *rest, **more):
        return x if logits_fn is both else crafted(name, logits_fn, x, *rest, **more)

    monkeypatch.setattr(ensemble, "crafted", lazily)
    monkeypatch.setattr(ensemble, "mixture", lambda one, other: both)
    subject = subject_of(linear_net())
    eps = float(np.median(exact_radii(subject)))
    natural = run_of(linear_net(), tmp_path / "natural").path
    record, _ = measured("ensemble", subject, eps=eps, alpha=eps / 2, natural=natural)
    assert (
        sum("the attack on the ensemble is too weak" in flag for flag in record.flags) == 4
    )  # on two nets, by two attacks


def test_generalise_shows_how_far_each_attack_moves(subject_of):
    subject = subject_of(linear_net())
    eps = float(np.median(exact_radii(subject)))
    record, shown = measured("generalise", subject, eps=eps, alpha=eps / 2)
    expected = float((exact_radii(subject) > eps).mean())
    assert record.per_attack["fgsm"] == record.per_attack["ifgsm"] == expected
    assert record.mean_linf["fgsm"] == pytest.approx(eps, abs=1e-6)
    assert record.mean_l2["fgsm"] == pytest.approx(eps * 12**0.5, abs=1e-5)
    assert record.mean_l2["wrm"] > 0
    assert "no worst case" in shown


def test_attacks_with_autoattack_names_who_broke_what(subject_of, tmp_path, monkeypatch):
    fewer = {"steps": 10, "queries": 100, "restarts": 1}
    quick = [(name, {key: fewer[key] for key in settings}) for name, settings in AUTOATTACK["standard"]]
    monkeypatch.setitem(AUTOATTACK, "standard", quick)
    subject = subject_of(linear_net(4, seed=3))
    subject.labels[0] = (subject.net(subject.images[:1] / 255).numpy().argmax() + 1) % 4
    asked = {"attacks": "autoattack", "eps": 0.002}
    record, shown = measured("attacks", subject, **asked)
    assert record.broken_by[0] == "clean"
    by = record.broken_by
    left = 39
    for name in ("apgd_ce", "apgd_t", "fab_t", "square"):
        left -= by.count(name)
        assert record.per_attack[name] == left / 40
    assert record.robust_accuracy == by.count(None) / 40
    state = subject.run.path / "record.json"
    with pytest.raises(Refusal, match="got one of another net"):  # what is left of it is of another net
        measured("attacks", subject._replace(run=run_of(linear_net(4), tmp_path / "other")), state, **asked)
    alone, _ = measured("attacks", subject, "alone.json", **asked, individual=True)
    assert alone.robust_accuracy == record.robust_accuracy
    assert alone.per_attack["apgd_t"] >= record.per_attack["apgd_t"]
    assert "correctly after those before it" in " ".join(shown.split())


def test_quantised_nets(subject_of):
    net = linear_net(3)
    w = kernels(net)[0]
    w.assign(tf.where(tf.abs(w) < 0.3, 0.0, w))
    subject = subject_of(net)
    record, shown = measured("quantised", subject, attacks="fgsm", eps=0.001)
    of = record.nets
    assert of["symmetric"].kernels_nonzero == of["float32"].kernels_nonzero < 36
    assert of["min_max"].kernels_nonzero == 36
    assert record.clean_accuracy == of["float32"].clean_accuracy
    assert "min_max" in shown
    whole, _ = measured("quantised", subject, attacks="fgsm", eps=0.001, skip_certified=False)
    for name, spared in of.items():
        assert spared.not_attacked > 0
        assert dataclasses.replace(spared, not_attacked=None, seconds=0) == dataclasses.replace(
            whole.nets[name], seconds=0
        )
    np.testing.assert_array_equal(subject.net.get_weights()[0], w)  # the net itself is left alone


def test_the_factors_of_atmc_are_quantised_too(subject_of):
    """U' = 0 and C = 0 leave V, the kernel itself; with entries in all of them the two nets differ."""
    net = linear_net(3)
    subject = subject_of(net)
    factorised = atmc.factorise(net)
    factorised.save(subject.run.factorised_path)
    same = quantised(subject)
    assert list(same) == ["symmetric", "min_max", "symmetric, factors", "min_max, factors"]
    for name in ("symmetric", "min_max"):
        np.testing.assert_allclose(kernels(same[name])[0], kernels(same[f"{name}, factors"])[0], atol=1e-6)
    layer = factorised.layers[-1]
    layer.U.assign(0.1 * tf.eye(3))
    layer.C.assign(0.01 * tf.ones_like(layer.C))
    factorised.save(subject.run.factorised_path)
    V, U, C = (symmetric(w.numpy()) for w in (layer.kernel, layer.U, layer.C))
    (found,) = kernels(quantised(subject)["symmetric, factors"])
    np.testing.assert_allclose(found, V @ (np.eye(3) + U) + C, atol=1e-6)


def test_usefulness_needs_two_classes(subject_of):
    """Of a class against the rest: with one class there is no rest."""
    subject = subject_of(linear_net())
    record, shown = measured("usefulness", subject, eps=0.01)
    assert len(record.usefulness) == len(record.robust_usefulness) == 12  # the pixels, here
    assert np.mean(record.robust_usefulness) < np.mean(record.usefulness)
    assert "12 features" in shown
    one = np.flatnonzero(subject.labels == 0)
    with pytest.raises(Refusal, match="--num_images: expected images of at least two classes; got"):
        measured("usefulness", subject._replace(images=subject.images[one], labels=subject.labels[one]))


def test_straight_through_has_the_files_value_and_the_twins_gradient():
    twin, judge = lambda x: 3.0 * x, lambda x: tf.round(3.0 * x)
    x = tf.constant([[0.4], [0.6]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = straight_through(judge, twin)(x)
    np.testing.assert_allclose(z, [[1.0], [2.0]])
    np.testing.assert_allclose(tape.gradient(z, x), [[3.0], [3.0]])


@pytest.mark.parametrize("form", ["float32", "int8"])
def test_the_files_scores_in_batches_and_its_robust_accuracy(subject_of, tmp_path, form):
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
    asked = {"eps": eps, "alpha": eps / 2, "queries": 60, "file": path}
    record, shown = measured("tflite", subject, **asked)
    again, _ = measured("tflite", subject, **asked)
    assert again.files == record.files  # seconds too: a file that is done is not attacked again
    of = record.files[path.name]
    assert list(of.per_attack)[-1] == "square on the file"
    assert path.name in shown
    if form == "float32":
        assert record.robust_accuracy == float((radii > eps).mean())
    else:
        low, high = (float((radii > factor * eps).mean()) for factor in (1.5, 0.5))
        assert low <= record.robust_accuracy <= high


def test_attacks_on_a_file_check_its_own_certificate(subject_of, monkeypatch):
    subject = subject_of(linear_net())
    path, radii = exported(subject, "int8") / "model_int8.tflite", exact_radii(subject)
    asked = {"eps": float(np.median(radii)), "queries": 60, "file": path}
    measured("tflite", subject, **asked)
    monkeypatch.setattr(
        "robust_tf.evaluation.modes.tflite.prover", lambda graph: lambda x, y, eps: np.ones(len(y), bool)
    )
    with pytest.raises(BrokenCertificate, match="expected certified images to survive every attack; it broke the test"):
        measured("tflite", subject, saved="again.json", **asked)


def test_scores_of_any_family_outside_the_bounds_end_a_certificate(subject_of, monkeypatch):
    subject = subject_of(linear_net())
    path = exported(subject, "int8") / "model_int8.tflite"
    computed = certificates.tflite.by_family
    off = lambda path, x: {**computed(path, x), "built_in": computed(path, x)["built_in"] + np.int8(9)}
    monkeypatch.setattr(certificates.tflite, "by_family", off)
    found = certificates.certified_file(path, subject.images, subject.labels, 0.01, 16)
    assert found.outside > 0
    assert found.certificate.certified is None
    expected = f"{found.outside} of 40 images have scores outside its bounds with the kernels of the family built_in"
    assert found.certificate.reason == expected


def test_no_file_to_attack(tmp_path):
    run = RunDirectory(tmp_path)
    with pytest.raises(Refusal, match=r"expected a \.tflite file"):
        files(SimpleNamespace(file=None, mode="tflite"), run)
    with pytest.raises(Refusal, match="got none at absent"):
        files(SimpleNamespace(file="absent", mode="certify"), run)


def test_files_of_an_earlier_net_are_refused(shared_runs, tmp_path):
    run = RunDirectory(shutil.copytree(shared_runs / "natural", tmp_path / "run"))
    asked = SimpleNamespace(file=None, mode="tflite")
    assert [path.name for path in files(asked, run)] == ["model_float32.tflite"]
    manifest = run.export / "manifest.json"
    write(manifest, dataclasses.replace(read_record(manifest, Manifest), model_sha256="0" * 64))
    with pytest.raises(Refusal, match="expected files of this run's net"):
        files(asked, run)


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


def test_files_that_are_not_what_the_twin_is_are_flagged(subject_of, tmp_path):
    subject = subject_of(linear_net())
    net = subject.net
    softmax = keras.Sequential([*net.layers, keras.layers.Softmax()])
    nets = {"own": net, "foreign": linear_net(seed=1), "softmax": keras.Sequential([keras.Input((4, 3, 1)), softmax])}
    signs = {"own": [], "foreign": ["away from the net's"], "softmax": ["probabilities", "away from the net's"]}
    for name, other in nets.items():
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(convert(other, "float32"))
        flags = file_signs(scorer(path, (4, 3, 1), 2), subject)
        assert len(flags) == len(signs[name]), flags
        assert all(sign in flag for sign, flag in zip(signs[name], flags))


def exported(subject, *formats):
    """The run's export with these formats of the net, and its folder."""
    folder = subject.run.subfolder("export")
    for name in formats:
        content = convert(subject.net, name, (subject.images / 255).astype(np.float32))
        (folder / f"model_{name}.tflite").write_bytes(content)
    return folder


def test_the_certificate_of_a_linear_file_is_exact(subject_of, monkeypatch):
    subject = subject_of(linear_net())
    monkeypatch.setattr("robust_tf.evaluation.modes.certify.files", lambda config, run: sorted(run.export.iterdir()))
    folder, radii = exported(subject, "float32", "int8", "dynamic"), exact_radii(subject)
    eps = float(np.median(radii))
    record, shown = measured("certify", subject, eps=eps, norm="linf")
    float32, int8 = (record.files[f"model_{name}.tflite"] for name in ("float32", "int8"))
    assert float32.correct == float32.certificate.certified_clean == 39
    assert float32.certificate.certified == (radii > eps).sum()
    assert record.clean_accuracy == int8.correct / 40
    assert (radii > 1.5 * eps).sum() <= int8.certificate.certified <= (radii > 0.9 * eps).sum()
    for name, found in record.files.items():
        path = folder / name
        assert (found.sha256, found.bytes, found.outside) == (digest(path), path.stat().st_size, 0)
        assert (found.certificate.eps, found.certificate.num_images) == (eps, 40)
        assert found.certificate.families == ("reference", "built_in", "xnnpack")
        assert (found.certificate.runtime, found.certificate.cpu) == (installed_runtimes()[0], processor())
        low, high = found.certificate.interval
        assert low < found.certificate.certified / 40 < high
    assert record.flags == ()
    assert f"{float32.certificate.certified / 40:.2%}" in shown


def test_a_file_that_computes_with_the_range_of_each_image_is_not_certified(subject_of, monkeypatch):
    """The weights of a dense layer of 1,200 are stored in 8 bits."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((4, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(100), keras.layers.Dense(2)]
    subject = subject_of(keras.Sequential(layers))
    path = exported(subject, "dynamic") / "model_dynamic.tflite"
    monkeypatch.setattr("robust_tf.evaluation.modes.certify.files", lambda config, run: [path])
    record, shown = measured("certify", subject, eps=0.01)
    found = record.files[path.name].certificate
    assert (found.certified, found.certified_clean) == (None, None)
    assert "which kernels quantise by their range in each image" in found.reason
    assert f"{path.name}: not certified: {found.reason}" in shown
    with pytest.raises(Refusal, match="by their range in each image"):
        measured("certify", subject, eps=0.01, file=path)


def test_a_certificate_goes_on_where_it_stopped(subject_of, monkeypatch):
    subject = subject_of(linear_net())
    path = exported(subject, "int8") / "model_int8.tflite"
    state, eps = path.with_suffix(".npz"), float(np.median(exact_radii(subject)))
    arguments = (path, subject.images, subject.labels, eps, 16)
    expected = certificates.certified_file(*arguments)
    with pytest.raises(KeyboardInterrupt):
        certificates.certified_file(*arguments, state_path=state, advance=interrupting(32))
    seen = []
    found = certificates.certified_file(*arguments, state_path=state, advance=seen.append)
    assert seen == [32, 8]
    assert without_seconds(found) == without_seconds(expected)
    seen.clear()  # with another radius it starts again
    certificates.certified_file(*arguments[:3], 2 * eps, 16, state_path=state, advance=seen.append)
    assert seen == [0, 16, 16, 8]


def interrupting(count):
    """advance() of a bar that a user interrupts after `count` images."""
    done = []

    def advance(more):
        done.append(more)
        if sum(done) >= count:
            raise KeyboardInterrupt

    return advance


def without_seconds(found):
    return dataclasses.replace(found, certificate=dataclasses.replace(found.certificate, seconds=0))


def test_without_the_kernels_of_the_certificate_there_is_none(subject_of, monkeypatch):
    """A runtime whose first score is three units off, as no kernel of the certificate is."""
    subject = subject_of(linear_net())
    path = exported(subject, "int8") / "model_int8.tflite"
    outputs = certificates.tflite.outputs
    monkeypatch.setattr(certificates.tflite, "outputs", lambda *given: outputs(*given) + np.int8([3, 0]))
    record, shown = measured("certify", subject, eps=0.01, file=path)
    found = record.files[path.name]
    assert (found.outside, found.certificate.certified) == (40, None)
    assert found.certificate.reason.startswith("40 of 40 images have scores outside its bounds")
    assert f"{path.name}: not certified: {found.certificate.reason}" in shown


def damaged(content):
    """What is no .tflite file, or only a part of one."""
    return {"text": b"not a flatbuffer", "empty": b"", "half": content[: len(content) // 2], "cut": content[:-40]}


@pytest.mark.parametrize("form", ["text", "empty", "half", "cut"])
def test_a_damaged_file_is_refused_and_nothing_is_written(subject_of, form):
    subject = subject_of(linear_net())
    path = exported(subject, "int8") / "model_int8.tflite"
    path.write_bytes(damaged(path.read_bytes())[form])
    before = sorted(subject.run.path.rglob("*"))
    with pytest.raises(Refusal, match=r"expected a .*; got"):
        measured("certify", subject, eps=0.01, file=path)
    assert sorted(subject.run.path.rglob("*")) == before
