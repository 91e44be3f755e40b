"""Export: every format is loaded back and compared; what disagrees is left out, with the reason."""

import dataclasses
import tarfile

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow.lite.python.convert_phase import ConverterError

from robust_tf.commands.export_tflite import work
from robust_tf.compression import atmc
from robust_tf.compression.plain import plain
from robust_tf.data.digits import load as load_digits
from robust_tf.export import EXACT, FORMATS, Format, lint
from robust_tf.export import tflite as export_tflite
from robust_tf.export.compact import compact
from robust_tf.export.config import ExportConfig
from robust_tf.export.formats import convert
from robust_tf.export.golden import random_images
from robust_tf.export.tflite import compare
from robust_tf.flags.declare import parse
from robust_tf.models import MODELS
from robust_tf.models.kernels import kernels
from robust_tf.projections.irregular import irregular
from robust_tf.records.manifest import Manifest
from robust_tf.records.record import read
from robust_tf.refusal import Refusal
from robust_tf.training.config import TrainConfig
from robust_tf.training.rundir import RunDirectory


def lenet():
    keras.utils.set_random_seed(0)
    return MODELS["lenet"]((28, 28, 1), 10, width=0.4)


@pytest.fixture(scope="module")
def net():
    net = lenet()
    for w, z in zip(kernels(net), irregular(kernels(net), 5000)):
        w.assign(z)
    return net


@pytest.mark.parametrize("name", FORMATS)
def test_files_agree_with_the_net(net, name, digits, tmp_path):
    x, logits = digits[0][:100], net(digits[0][:100]).numpy()
    path = tmp_path / "model.tflite"
    path.write_bytes(convert(compact(net) if FORMATS[name].compact else net, name, x))
    scores, agreed = compare(path, name, "ai_edge_litert", x, logits)
    assert scores.shape == (100, 10)
    assert agreed["agreement"] >= FORMATS[name].agreement
    assert agreed["max_abs_diff"] == pytest.approx(np.abs(scores - logits).max())


def test_the_flag_names_every_format():
    assert parse(ExportConfig, ["--workdir=RUN"]).formats == tuple(FORMATS)
    for name in FORMATS:
        assert parse(ExportConfig, ["--workdir=RUN", f"--formats={name}"]).formats == (name,)


def test_bytes_tell_the_formats_apart(net, digits):
    smaller = compact(net)
    size = {name: len(convert(smaller if FORMATS[name].compact else net, name, digits[0][:50])) for name in FORMATS}
    assert size["float16"] < 0.6 * size["float32"]
    assert size["int8"] < 0.4 * size["float32"]
    assert size["sparse"] < 0.7 * size["float32"]
    assert size["dynamic"] < 0.4 * size["float32"]
    assert size["compact"] < size["float32"]
    assert size["compact-int8"] < size["int8"]
    assert size["compact-sparse"] < size["sparse"]


def test_another_net_does_not_agree(net, digits, tmp_path):
    x = digits[0][:50]
    other = MODELS["lenet"]((28, 28, 1), 10, width=0.4)
    path = tmp_path / "model.tflite"
    path.write_bytes(convert(other, "float32"))
    with pytest.raises(ValueError, match=r"expected agreement >= 0\.999"):
        compare(path, "float32", "ai_edge_litert", x, net(x).numpy())


def test_what_cannot_be_shipped_is_left_out(monkeypatch, tmp_path, net, digits):
    """A format that the converter cannot produce, and one that disagrees, neither leave a file behind."""
    finished(tmp_path, net)
    real = export_tflite.configured

    class Faulty:
        def convert(self):
            raise ConverterError("no such kernel")

    def faulty(net, name, representative):
        if name == "sparse":
            net = MODELS["lenet"]((28, 28, 1), 10, width=0.4)
        return Faulty() if name == "float16" else real(net, name, representative)

    monkeypatch.setattr(export_tflite, "configured", faulty)
    (tmp_path / "export").mkdir()
    for stale in ("sparse", "int8"):
        (tmp_path / "export" / f"model_{stale}.tflite").write_bytes(b"of an earlier export")
    flags = [f"--workdir={tmp_path}", "--formats=float32,float16,sparse", "--num_images=50", "--steps=2"]
    returned = export_tflite.export(parse(ExportConfig, flags))
    manifest = read(tmp_path / "export" / "manifest.json", Manifest)
    assert manifest == returned
    assert [file.format for file in manifest.files] == ["float32"]
    reasons = {left.format: left.reason for left in manifest.left_out}
    assert "no such kernel" in reasons["float16"]
    assert "expected agreement" in reasons["sparse"]
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == [
        "manifest.json", "model_float32.tflite", "sample.npz"]  # fmt: skip
    (file,) = manifest.files
    assert file.bytes == (tmp_path / "export" / file.file).stat().st_size
    assert file.agreement >= 0.999
    assert 0 <= file.robust_accuracy <= file.clean_accuracy <= 1
    assert file.parameters == manifest.parameters == net.count_params()
    assert file.multiply_adds == manifest.multiply_adds == 576 * 25 * 8 + 64 * 200 * 20 + 320 * 200 + 200 * 10


def mistyped(converter, representative):
    converter.optimizations = [tf.lite.Optimise.DEFAULT]


def test_an_error_in_a_formats_function_is_no_reason_to_leave_it_out(monkeypatch, tmp_path, net):
    monkeypatch.setitem(FORMATS, "mistyped", Format(address=f"{__name__}:mistyped", **EXACT))
    flags = finished(tmp_path, net)
    with pytest.raises(AttributeError, match="Optimise"):
        export_tflite.export(parse(ExportConfig, [*flags, "--formats=float32,mistyped"]))


def test_a_net_that_cannot_be_compacted_ships_as_it_is(monkeypatch, tmp_path, net):
    def fails(net):
        raise ValueError("a layer is called twice")

    monkeypatch.setattr(export_tflite, "compact", fails)
    flags = finished(tmp_path, net)
    manifest = export_tflite.export(parse(ExportConfig, [*flags, "--formats=float32,compact,compact-int8"]))
    assert [file.format for file in manifest.files] == ["float32"]
    assert {left.format: left.reason for left in manifest.left_out} == {
        "compact": "a layer is called twice", "compact-int8": "a layer is called twice"
    }  # fmt: skip


def test_a_folder_of_data_is_refused_where_the_data_set_has_none(tmp_path, net):
    flags = finished(tmp_path, net)
    with pytest.raises(Refusal, match=r"--data_dir=x: expected one of the data sets mnist.* with it; got digits"):
        export_tflite.export(parse(ExportConfig, [*flags, "--data_dir=x"]))


def test_lint_exports_what_is_missing_and_shows_what_is_asked_for(tmp_path, net, monkeypatch):
    """Other formats keep their files; the same command again exports nothing."""
    flags, shown = finished(tmp_path, net), []
    folder = tmp_path / "export"
    monkeypatch.setattr(lint, "show", lambda path, rows: shown.append(path.name))

    def run(*more):
        shown.clear()
        work(parse(ExportConfig, [*flags, "--lint", *more]))
        return list(shown)

    def formats():
        return [file.format for file in read(folder / "manifest.json", Manifest).files]

    assert run("--formats=float32,float16") == ["model_float32.tflite", "model_float16.tflite"]
    written = (folder / "manifest.json").stat().st_mtime_ns
    assert run("--formats=float16") == ["model_float16.tflite"]
    assert (folder / "manifest.json").stat().st_mtime_ns == written
    assert run("--formats=sparse") == ["model_sparse.tflite"]
    assert formats() == ["float32", "float16", "sparse"]
    assert run("--formats=sparse", "--steps=2", "--num_images=60") == ["model_sparse.tflite"]
    manifest = read(folder / "manifest.json", Manifest)
    assert (manifest.attack.steps, manifest.num_images) == (2, 60)
    assert formats() == ["float32", "float16", "sparse"]


def test_lint_says_why_a_format_was_left_out(tmp_path, net, monkeypatch, capsys):
    flags = [*finished(tmp_path, net), "--formats=float32,int8"]
    monkeypatch.setitem(FORMATS, "int8", dataclasses.replace(FORMATS["int8"], agreement=2.0))
    export_tflite.export(parse(ExportConfig, flags))
    capsys.readouterr()
    monkeypatch.setattr(export_tflite, "export", None)  # nothing is exported again
    work(parse(ExportConfig, [*flags, "--lint"]))
    assert "left out: int8: in " in capsys.readouterr().out


def finished(folder, net):
    """A run directory of a net on the embedded digits."""
    folder.mkdir(exist_ok=True)
    net.save(folder / "model.keras")
    RunDirectory(folder).claim(parse(TrainConfig, ["--eps=0.1"]))
    return [f"--workdir={folder}", "--num_images=50", "--steps=1", "--attack_images=50"]


def test_factors_of_atmc_are_two_layers_where_that_is_less_work(tmp_path):
    """Of the large dense layer 5 columns of V are left; of the others all."""
    factorised = atmc.factorise(lenet())
    wide = factorised.get_layer("dense1")
    wide.kernel.assign(wide.kernel * (np.arange(200) < 5))
    wide.U.assign(np.random.default_rng(0).normal(0, 0.1, wide.U.shape))
    factorised.save(tmp_path / "factorised.keras")
    flags = finished(tmp_path, plain(factorised))
    manifest = export_tflite.export(parse(ExportConfig, [*flags, "--formats=float32,compact"]))
    whole, small = manifest.files
    assert small.max_abs_diff <= 1e-3
    assert small.parameters < 0.2 * whole.parameters
    smaller = compact(atmc.halved(factorised))
    pairs = [layer.name for layer in smaller.layers if layer.name.endswith("_thin")]
    assert pairs == ["dense1_thin"]
    assert smaller.get_layer("dense1_thin").kernel.shape[1] == 5


def test_robustness_that_was_lost_is_flagged(tmp_path, monkeypatch, capsys):
    net = lenet()
    monkeypatch.setattr(export_tflite, "LOST", -0.01)  # what equals the net has then lost too much
    flags = finished(tmp_path, net)
    manifest = export_tflite.export(parse(ExportConfig, [*flags, "--formats=float32", "--bundle"]))
    assert manifest.flags == ("float32 loses 0.0% of robust accuracy against the net",)
    assert "warning: float32 loses" in capsys.readouterr().out

    def held():
        with tarfile.open(tmp_path / "export" / "bundle.tar.gz") as archive:
            return archive.getnames()

    assert f"{tmp_path.name}/sample.npz" in held()
    with np.load(tmp_path / "export" / "golden.npz") as stored:
        np.testing.assert_array_equal(stored["images"], load_digits("test")[0][:20])
    asked = [*flags, "--formats=float32", "--bundle", "--notest_images"]
    manifest = export_tflite.export(parse(ExportConfig, asked))
    assert f"{tmp_path.name}/sample.npz" not in held()
    with np.load(tmp_path / "export" / "golden.npz") as stored:
        np.testing.assert_array_equal(stored["images"], random_images((28, 28, 1)))
    with pytest.raises(Refusal, match="--test_images: expected --bundle with it; got none"):
        parse(ExportConfig, [*flags, "--notest_images"])
    assert export_tflite.current(parse(ExportConfig, flags)) == manifest
    shipped = tmp_path / "export" / "model_float32.tflite"
    content = shipped.read_bytes()
    shipped.write_bytes(content[:-1])
    assert export_tflite.current(parse(ExportConfig, flags)) is None  # another file of that name
    shipped.write_bytes(content)
    net.get_layer("logits").bias.assign(np.ones(10))
    net.save(tmp_path / "model.keras")
    assert export_tflite.current(parse(ExportConfig, flags)) is None


def test_a_compact_file_that_came_out_larger_is_flagged(tmp_path):
    """The dense net has no unused channel; the pruned one has."""
    formats = "--formats=float32,compact"
    dense = export_tflite.export(parse(ExportConfig, [*finished(tmp_path / "dense", lenet()), formats]))
    plain, smaller = (file.bytes for file in dense.files)
    assert dense.flags == (
        f"compact is larger than float32 ({smaller:,} against {plain:,} bytes): few channels are unused",
    )
    net = lenet()
    for w in kernels(net):
        w.assign(w * (np.arange(w.shape[-1]) < max(w.shape[-1] // 2, 10)))
    pruned = export_tflite.export(parse(ExportConfig, [*finished(tmp_path / "pruned", net), formats]))
    assert pruned.flags == ()
    assert pruned.files[1].bytes < pruned.files[0].bytes
