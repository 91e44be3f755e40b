"""Seeds of an attack's random numbers."""

import numpy as np


def derived(seed, *parts, count=2):
    """`count` int32 numbers, a function of the integer or integers `seed` and of `parts` (a restart, a target).

    Nearby seeds give unrelated numbers (NumPy's SeedSequence).
    """
    return np.random.SeedSequence([*np.atleast_1d(seed), *parts]).generate_state(count).astype(np.int32)
