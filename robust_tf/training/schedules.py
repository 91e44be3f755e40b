"""Schedules of eps, the learning rate, k and rho: pure functions of the epoch or of progress.

A sequence is a tuple of (epoch, value) pairs with growing epochs; a value holds until the next pair. Epochs of a
sequence that the user gives count from the start of the run, over all its stages. Default and named learning rates
begin anew in each stage (see `stage.stage_schedule`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


def value_at(sequence, epoch):
    """The value of a piecewise constant sequence at `epoch`."""
    return [value for start, value in sequence if start <= epoch][-1]


def interpolated(sequence, epoch):
    """The value of a sequence at a fractional `epoch`, interpolated linearly between its pairs."""
    return float(np.interp(epoch, *zip(*sequence)))


def thirds(eps, epochs):
    """eps/3, 2 eps/3, eps in the thirds of `epochs` (thesis, 3.1); the last epoch always has eps."""
    return tuple((min(round(third * epochs / 3), epochs - 1), eps * ((third + 1) / 3)) for third in range(3))


def decayed(learning_rate, epochs):
    """learning_rate * 0.8^n after 10 n epochs (thesis; the factor is ours, the thesis gives none)."""
    return tuple((start, learning_rate * 0.8 ** (start // 10)) for start in range(0, max(epochs, 1), 10))


def delayed(sequence, epochs):
    """The sequence, `epochs` epochs later."""
    return tuple((start + epochs, value) for start, value in sequence)


def cubic_ratio(progress, ratio):
    """Kept fraction at `progress` in [0, 1]: 1 until 10 %, then a cubic decrease to `ratio` at 60 %."""
    fall = min(max((progress - 0.1) / 0.5, 0.0), 1.0)
    return ratio + (1 - ratio) * (1 - fall) ** 3


def geometric(progress, initial, final):
    """initial^(1 - progress) * final^progress, the schedule of rho."""
    return initial ** (1 - progress) * final**progress


def drops(learning_rate, epochs):
    """learning_rate, divided by 10 at each of `epochs`."""
    return tuple((start, learning_rate * 0.1**i) for i, start in enumerate((0, *epochs)))


def one_cycle(learning_rate, epochs):
    """Linearly from 0 to learning_rate at 30 % of the epochs and back to 0 (Smith and Topin, arXiv 1708.07120)."""
    return ((0, 0.0), (0.3 * epochs, learning_rate), (epochs, 0.0))


@dataclass(frozen=True, kw_only=True)
class NamedRates:
    """A named learning-rate schedule.

    pairs: (name of a stage, its number of epochs, --learning_rate) -> sequence.
    smooth: whether the rate is interpolated linearly at each training step.
    whole_run: whether it extends over the whole run; otherwise it begins anew in each stage.
    options: flags of bin/train that apply to it.
    """

    summary: str
    pairs: Callable
    smooth: bool = False
    whole_run: bool = False
    options: tuple = ()


# By stage, what the published code of Gui et al. trains with; that of "finetune" is ours.
DENSE, L0, FACTORS = drops(0.05, (80, 120, 150)), drops(0.01, (30, 60, 90, 120)), drops(0.005, (60, 80, 120))
ATMC_CODE = {"dense": DENSE, "natural": DENSE, "l0": L0, "finetune": L0, "atmc": FACTORS, "codebook": FACTORS}

# Gui et al. train for 150 epochs. Of the plans in their Fig. 7 they print only the lengths, 200 epochs (plan 1) and 150
# (plan 3); the drops are at the same fractions of them [ours].
LEARNING_RATES = {
    "thesis": NamedRates(
        summary="0.05, times 0.8 every 10 epochs", pairs=lambda stage, epochs, rate: decayed(0.05, epochs)
    ),
    "atmc": NamedRates(
        summary="0.005, divided by 10 at epochs 30, 60, 90, 120",
        pairs=lambda stage, epochs, rate: drops(0.005, (30, 60, 90, 120)),
    ),
    "atmc_plan_1": NamedRates(
        summary="for 200 epochs: 0.005, divided by 10 at epochs 40, 80, 120, 160",
        pairs=lambda stage, epochs, rate: drops(0.005, (40, 80, 120, 160)),
    ),
    "atmc_plan_3": NamedRates(
        summary="for 150 epochs: as atmc", pairs=lambda stage, epochs, rate: drops(0.005, (30, 60, 90, 120))
    ),
    "atmc_code": NamedRates(
        summary="as the published code of Gui et al.: dense stage 0.05, divided by 10 at epochs 80, 120, 150; l0 and"
        " fine-tuning 0.01, at 30, 60, 90, 120; later stages 0.005, at 60, 80, 120",
        pairs=lambda stage, epochs, rate: ATMC_CODE.get(stage, FACTORS),
    ),
    "one_cycle": NamedRates(
        summary="from 0 to --learning_rate at 30 % of the run's epochs and back to 0",
        pairs=lambda stage, epochs, rate: one_cycle(rate, epochs),
        smooth=True,
        whole_run=True,
        options=("learning_rate",),
    ),
}


def ninths(steps, epochs):
    """steps, 2 steps, 3 steps within each third of `epochs`, which begins when eps grows (thesis, 3.1).

    In thirds of fewer than three epochs the larger numbers take precedence.
    """
    return tuple({i * epochs // 9: steps * (1 + i % 3) for i in range(9)}.items())


STEPS_SCHEDULES = {"thesis": lambda epochs: ninths(7, epochs)}
