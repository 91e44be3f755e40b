"""Whether a net is no better than a guess."""

import numpy as np
import scipy.stats

FEWEST = 10  # images below which nothing is said
LEVEL = 0.05  # of the test: how often a net that guesses passes it


def guess(predicted, labels):
    """One sentence if the net is no better than a guess, else None.

    It is none better if it predicts one class for all images, although the labels are of several classes; or if always
    naming the most frequent class would be right as often, with a probability above 5 % (one-sided binomial test). Of
    fewer than 10 images nothing is said.

    Args:
      predicted, labels: int [N].
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if len(labels) < FEWEST or (labels == labels[0]).all():
        return None
    if (predicted == predicted[0]).all():
        return f"the net predicts class {predicted[0]} for all of {len(labels):,} images"
    right, frequent = int((predicted == labels).sum()), int(np.bincount(labels).max())
    if scipy.stats.binomtest(right, len(labels), frequent / len(labels), "greater").pvalue <= LEVEL:
        return None
    how = "no better than" if right <= frequent else "not clearly better than"
    return (
        f"the net is {how} a guess: {right / len(labels):.1%} of {len(labels):,} images are classified"
        f" correctly without attack, and always naming the most frequent class gives {frequent / len(labels):.1%}"
    )
