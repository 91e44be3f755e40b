"""Quantisation at the ends of a .tflite file, and the runtimes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robust_tf.evaluation.tflite import installed_runtimes, to_float, to_input_type

INT8 = {"dtype": np.int8, "quantization": (1 / 255, -128)}
FLOAT = {"dtype": np.float32, "quantization": (0.0, 0)}


@given(st.floats(0, 1))
def test_pixels_come_back_within_half_a_level(pixel):
    x = np.array([pixel], np.float32)
    assert to_float(to_input_type(x, INT8), INT8)[0] == pytest.approx(pixel, abs=0.5 / 255 + 1e-6)
    assert to_input_type(x, FLOAT)[0] == x[0]


def test_out_of_range_is_clipped():
    np.testing.assert_array_equal(to_input_type(np.array([-1.0, 2.0]), INT8), [-128, 127])


def test_the_hosts_runtime_is_found():
    assert any(name.startswith("ai_edge_litert ") for name in installed_runtimes())
