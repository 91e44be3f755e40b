"""Export: every format is loaded back and compared; what disagrees is left out, with the reason."""

import numpy as np
import pytest
import tf_keras as keras

from export import tflite as export_tflite
from export.compact import compact
from export.formats import FORMATS, convert
from export.tflite import compare
from robust_tf import config
from robust_tf.models import MODELS
from robust_tf.models.kernels import kernels
from robust_tf.projections.irregular import irregular


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(0)
    net = MODELS["lenet"]((28, 28, 1), 10, width=0.4)
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
    assert tuple(FORMATS) == config.FORMATS


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
    from robust_tf.config import ExportConfig, TrainConfig, parse
    from robust_tf.rundir import as_json, read_json, write_json

    net.save(tmp_path / "model.keras")
    write_json(tmp_path / "config.json", as_json(parse(TrainConfig, ["--eps=0.1"])))
    real = export_tflite.convert

    def faulty(net, name, representative):
        if name == "float16":
            raise RuntimeError("no such kernel")
        if name == "sparse":
            net = MODELS["lenet"]((28, 28, 1), 10, width=0.4)
        return real(net, name, representative)

    monkeypatch.setattr(export_tflite, "convert", faulty)
    (tmp_path / "export").mkdir()
    for stale in ("sparse", "int8"):
        (tmp_path / "export" / f"model_{stale}.tflite").write_bytes(b"of an earlier export")
    flags = [f"--workdir={tmp_path}", "--formats=float32,float16,sparse", "--num_images=50", "--steps=2"]
    export_tflite.export(parse(ExportConfig, flags))
    manifest = read_json(tmp_path / "export" / "manifest.json")
    assert [row["format"] for row in manifest["files"]] == ["float32"]
    reasons = {row["format"]: row["reason"] for row in manifest["left_out"]}
    assert "no such kernel" in reasons["float16"]
    assert "expected agreement" in reasons["sparse"]
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == [
        "manifest.json", "model_float32.tflite", "sample.npz"]  # fmt: skip
    row = manifest["files"][0]
    assert row["bytes"] == (tmp_path / "export" / row["file"]).stat().st_size
    assert row["agreement"] >= 0.999
    assert 0 <= row["robust_accuracy"] <= row["clean_accuracy"] <= 1
