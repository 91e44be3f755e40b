"""Export of a Keras net to .tflite files, each compared with the net. This folder is the package robust_tf.export.

A `Format` describes a file format without importing its code. The folder also holds the files for a device:
benchmark_tflite.py (which imports nothing of this project), requirements-device.txt, Containerfile and README.md.
"""

from dataclasses import dataclass

from robust_tf.registry import Entry


@dataclass(frozen=True, kw_only=True)
class Format(Entry):
    """A file format. Its address is a function (converter, representative images) that configures the converter.

    agreement: smallest allowed fraction of images that the file classifies as the Keras net does.
    tolerance: largest allowed |logit difference|, relative to the largest |logit|.
    compact: whether the smaller, equivalent net is converted (`export.compact`, `export.columns`).
    ranges: whether the representative images determine the ranges of its integers.
    """

    agreement: float
    tolerance: float
    compact: bool = False
    ranges: bool = False


EXACT = {"agreement": 0.999, "tolerance": 1e-4}
ROUGH = {"agreement": 0.95, "tolerance": 0.2}


def format_with(function, **facts):
    return Format(address=f"robust_tf.export.formats:{function}", **facts)


FORMATS = {
    "float32": format_with("float32", **EXACT, summary="weights and arithmetic in 32-bit floats"),
    "float16": format_with(
        "float16", agreement=0.99, tolerance=1e-2, summary="weights in 16-bit floats: half the bytes"
    ),
    "dynamic": format_with("dynamic", **ROUGH, summary="weights in 8-bit integers, activations quantised at run time"),
    "int8": format_with(
        "int8",
        **ROUGH,
        ranges=True,
        summary="weights, activations, input and output in 8-bit integers, with ranges from training images",
    ),
    "sparse": format_with(
        "sparse", **EXACT, summary="float32; kernels with at least 30 % zeros are stored as indices and values"
    ),
    "compact": format_with(
        "float32", **EXACT, compact=True, summary="float32, of an equivalent, smaller net without unused channels"
    ),
    "compact-int8": format_with("int8", **ROUGH, compact=True, ranges=True, summary="int8, of the smaller net"),
    "compact-sparse": format_with("sparse", **EXACT, compact=True, summary="sparse, of the smaller net"),
}
