"""Verdicts: a claim of a paper, its parts, and whether the interval of what was measured is where the paper says."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import scipy.stats


@dataclass(frozen=True)
class Check:
    """A part of a claim: it holds if the 95 % interval of the mean of values(results) is within [least, most]."""

    what: str
    values: Callable
    least: float = float("-inf")
    most: float = float("inf")

    def verdict(self, results):
        values = self.values(results)
        if len(values) < 2:
            return "not measured"
        low, high = interval(values)
        if self.least <= low and high <= self.most:
            return "holds"
        return "not seen" if high < self.least or low > self.most else "undecided"


def interval(values):
    """The 95 % interval of the mean by Student's t."""
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def measured(values, unit=""):
    """ "mean ± standard deviation [interval], n seeds" """
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}{unit} (one seed)"
    low, high = interval(values)
    return (
        f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}{unit} [{low:.1f}, {high:.1f}],"
        f" {len(values)} seeds"
    )


@dataclass(frozen=True)
class Claim:
    """says: what the paper says, with its number. ran: the sweep that tests it. untestable: why it is not tested."""

    source: str
    says: str
    ran: str = ""
    checks: tuple = ()
    untestable: str = ""

    def verdict(self, results):
        if self.untestable:
            return f"not testable here: {self.untestable}"
        found = {check.verdict(results) for check in self.checks} - {"not measured"}
        if not found:
            return "not measured yet"
        if found == {"holds"}:
            return "holds" if all(len(check.values(results)) > 1 for check in self.checks) else "holds so far"
        if "holds" in found:
            return "holds in part"
        return "not seen" if found == {"not seen"} else "undecided"
