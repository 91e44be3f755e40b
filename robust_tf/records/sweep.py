"""Records of a sweep: sweep.json in its folder, done.json in the run directory of each cell."""

from dataclasses import dataclass
from typing import ClassVar

from robust_tf.records.record import Positive


@dataclass(frozen=True, kw_only=True)
class SweptCell:
    """A run of a sweep. flags: bin/train's, as text. varied: those that the grid varies. without: flags that do not
    apply. refused: why bin/train refuses it. start: name of the run whose net it starts from. failed: why it failed."""

    name: str
    flags: dict[str, str]
    varied: dict[str, str]
    without: tuple[str, ...]
    refused: str
    start: str
    failed: str


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The flags of a sweep, and its cells."""

    workdir: str | None = None
    grid: tuple[str, ...] | None = None
    seeds: tuple[int, ...]
    evaluate: tuple[str, ...] | None = None
    export: str | None = None
    jobs: Positive
    ray_address: str | None = None
    cells: tuple[SweptCell, ...]


@dataclass(frozen=True, kw_only=True)
class Done:
    """commands: command that was run for the cell -> SHA-256 of the net on which it ran."""

    VERSION: ClassVar[int] = 2

    commands: dict[str, str]

    @staticmethod
    def upgraded(values, version):
        """Version 1 was the commands alone."""
        return {"commands": values}
