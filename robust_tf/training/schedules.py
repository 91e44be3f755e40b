"""How eps, the learning rate, k and rho move during training: pure functions of the epoch or of progress.

A sequence is a tuple of (epoch, value) pairs with growing epochs, the first at 0; a value holds until the next
pair. Epochs count from the start of the run, over all its stages.
"""

import numpy as np


def value_at(sequence, epoch):
    """The value of a step-wise sequence at `epoch`."""
    return [value for start, value in sequence if start <= epoch][-1]


def interpolated(sequence, epoch):
    """The value of a sequence that moves on straight lines between its pairs, at a fraction of an epoch."""
    return float(np.interp(epoch, *zip(*sequence)))


def thirds(eps, epochs):
    """eps/3, 2 eps/3, eps over the thirds of `epochs` (thesis, 3.1); the last epoch has eps however few they are."""
    return tuple((min(round(third * epochs / 3), epochs - 1), eps * (third + 1) / 3) for third in range(3))


def decayed(learning_rate, epochs):
    """learning_rate * 0.8^n after 10 n epochs (thesis; the factor is ours, the thesis gives none)."""
    return tuple((start, learning_rate * 0.8 ** (start // 10)) for start in range(0, max(epochs, 1), 10))


def cubic_ratio(progress, ratio):
    """Kept fraction at `progress` in [0, 1]: 1 until 10 %, then a cubic fall to `ratio` at 60 %."""
    fall = min(max((progress - 0.1) / 0.5, 0.0), 1.0)
    return ratio + (1 - ratio) * (1 - fall) ** 3


def geometric(progress, first, last):
    """first^(1 - progress) * last^progress: the ramp of rho."""
    return first ** (1 - progress) * last**progress


def drops(learning_rate, epochs):
    """learning_rate, a tenth of it at each of `epochs`."""
    return tuple((start, learning_rate * 0.1**i) for i, start in enumerate((0, *epochs)))


def one_cycle(learning_rate, epochs):
    """From 0 up to learning_rate at 30 % of the epochs and down to 0 at their end, on straight lines (Smith and Topin,
    arXiv 1708.07120)."""
    return ((0, 0.0), (0.3 * epochs, learning_rate), (epochs, 0.0))


# Named learning rates: functions of the number of epochs and of --learning_rate, which only the last follows. Gui et
# al. train for 150 epochs; of the plans in their Fig. 7 only the lengths are in print, 200 epochs (plan 1) and 150
# (plan 3), so that the drops keep their places [ours].
LEARNING_RATES = {
    "thesis": lambda epochs, rate: decayed(0.05, epochs),
    "atmc": lambda epochs, rate: drops(0.005, (30, 60, 90, 120)),
    "atmc_plan_1": lambda epochs, rate: drops(0.005, (40, 80, 120, 160)),
    "atmc_plan_3": lambda epochs, rate: drops(0.005, (30, 60, 90, 120)),
    "one_cycle": lambda epochs, rate: one_cycle(rate, epochs),
}


def ninths(steps, epochs):
    """steps, 2 steps, 3 steps within each third of `epochs`, then anew as eps grows (thesis, 3.1).

    Where a third has fewer than three epochs the larger numbers stay.
    """
    return tuple({i * epochs // 9: steps * (1 + i % 3) for i in range(9)}.items())


STEPS = {"thesis": lambda epochs: ninths(7, epochs)}
