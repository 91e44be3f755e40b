"""Linear quantisation of trained kernels, each value replaced by the nearest of 2^bits levels."""

import numpy as np


def symmetric(w, bits=8):
    """Levels s * {-(2^(bits-1) - 1), ..., 2^(bits-1) - 1} for each output channel, s = max|w| / (2^(bits-1) - 1).

    Zero is a level, so zeros stay zero. TFLite's 8-bit kernels are quantised in this way.

    Args:
      w: kernel [..., out].
      bits: at least 2.
    """
    largest = 2 ** (bits - 1) - 1
    s = np.max(np.abs(w), tuple(range(w.ndim - 1)), keepdims=True) / largest
    s = np.where(s > 0, s, 1.0)
    return (np.rint(w / s) * s).astype(w.dtype)


def min_max(w, bits=8):
    """2^bits levels at equal distances from min(w) to max(w) of the whole kernel.

    Zero is a level only by chance: pruned weights become small non-zero weights. Gui et al.'s pruned baselines collapse
    under this quantiser.
    """
    low, high = w.min(), w.max()
    s = (high - low) / (2**bits - 1)
    return w.copy() if s == 0 else (low + np.rint((w - low) / s) * s).astype(w.dtype)


QUANTISERS = {"symmetric": symmetric, "min_max": min_max}
