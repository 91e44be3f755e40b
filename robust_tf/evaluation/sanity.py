"""Signs that a robust accuracy is not to be trusted (Carlini et al., arXiv 1902.06705)."""

import numpy as np


def sanity_flags(survived):
    """One sentence for each sign that was seen.

    Args:
      survived: dict attack -> bool [N], correctly classified under it.
    """
    flags = []
    if "fgsm" in survived:
        for name, kept in survived.items():
            if name == "square":  # takes no gradient that could mislead it
                continue
            missed = int(np.sum(kept & ~survived["fgsm"]))
            if missed:
                flags.append(f"{missed} images fall to one step of fgsm but not to {name}: its gradients mislead it")
    return flags
