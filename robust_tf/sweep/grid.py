"""Flags of a sweep -> its cells, the runs to train, and the starts, dense runs that cells have in common."""

import hashlib
import itertools
import json
import re
from dataclasses import dataclass, field

from robust_tf.config import COMPRESSING, TrainConfig, parse
from robust_tf.flags import idle, read
from robust_tf.refusal import Refusal
from robust_tf.rundir import as_json
from robust_tf.training.schedules import value_at

NOT_VARIED = ("workdir", "seed", "dry_run")
SEQUENCES = ("eps_schedule", "steps_schedule", "learning_rate_schedule", "ratio_schedule")


@dataclass(frozen=True)
class Cell:
    """A run to be.

    name: of its run directory.
    flags: of bin/train, as text, without --workdir.
    varied: of these, what the grid says; runs alike in it differ in the seed.
    without: flags that were given and mean nothing to it.
    refused: why bin/train cannot do it; "" it can.
    start: name of the run whose net it starts from; "" none of the sweep.
    """

    name: str
    flags: dict
    varied: dict = field(default_factory=dict)
    without: tuple = ()
    refused: str = ""
    start: str = ""


def values_of(grid):
    """["ratio=0.1,0.01", ...] -> {flag: values as text}; raises Refusal for what is no such flag, or no such value."""
    kinds = {name: each.metadata["kind"] for name, each in TrainConfig.__dataclass_fields__.items()}
    found = {}
    for text in grid:
        name, _, values = text.lstrip("-").partition("=")
        if name not in kinds or name in NOT_VARIED:
            raise Refusal(
                f"--grid={text}: expected FLAG=VALUE,VALUE of a flag of bin/train, seeds by --seeds; got {name!r}"
            )
        if name in found:
            raise Refusal(f"--grid={text}: expected each flag once; got {name} twice")
        found[name] = values.split(";" if ";" in values else ",")
        for value in found[name]:
            try:
                kinds[name].parse(value)
            except ValueError as error:
                raise Refusal(f"--grid={text}: {error}") from None
    return found


def cells(flags, grid, seeds, runs):
    """(starts, cells) of a sweep.

    Args:
      flags: of bin/train for all runs, {name: text}.
      grid: {flag: values as text}; all combinations are made, and those that come to the same run once.
      seeds: integers.
      runs: folder of the run directories.

    Raises Refusal where bin/train would refuse every cell.
    """
    starts, found, trained = {}, {}, set()
    for *values, seed in itertools.product(*grid.values(), seeds):
        varied = dict(zip(grid, values))
        cell, start = resolved({**flags, **varied, "seed": str(seed)}, varied, runs)
        run = cell.name if cell.refused else parse(TrainConfig, command_line(cell.flags))
        if run in trained:
            continue  # 0.1 and 1/10, or flags that mean nothing to it
        trained.add(run)
        if found.setdefault(cell.name, cell).flags != cell.flags:
            raise Refusal(f"--grid: expected values that name different folders; got {cell.name} twice")
        if start:
            starts[start.name] = start
    found = list(found.values())
    if all(cell.refused for cell in found):
        raise Refusal(found[0].refused)
    return list(starts.values()), found


def resolved(flags, varied, runs):
    """The Cell of these flags and the Cell of its dense start, or None."""
    start, config = None, None
    try:
        fitting = without_idle(flags)
        config = parse(TrainConfig, command_line(fitting))
        if config.method in COMPRESSING and config.pretrain_epochs and not config.init_from:
            start = dense_start(fitting, config)
            fitting = after_start(fitting, config, runs / start.name)
            parse(TrainConfig, command_line(fitting))
    except Refusal as refusal:
        return Cell(name_of(varied, flags["seed"]), flags, varied, refused=str(refusal)), None
    without = tuple(name for name in flags if name not in fitting and name != "pretrain_epochs")
    varied = {name: value for name, value in varied.items() if name not in without}
    name = name_of(varied, flags["seed"])
    return Cell(name, fitting, varied, without, start=start.name if start else ""), start


def command_line(flags):
    return [f"--{name}={text}" for name, text in flags.items()]


def without_idle(flags):
    """The flags that mean something beside the others."""
    while True:
        config, given = read(TrainConfig, command_line(flags))
        nothing = {name for name, _, _ in idle(config, given)}
        if not nothing:
            return flags
        flags = {name: text for name, text in flags.items() if name not in nothing}


def dense_start(flags, config):
    """The Cell of the dense stage as a run of its own: natural for nap, else adversarial."""
    P = config.pretrain_epochs
    dense = {name: text for name, text in flags.items() if name not in ("pretrain_epochs", "extend_while_improving")}
    dense |= {"method": "normal" if config.method == "nap" else "da", "epochs": str(P)}
    for name in SEQUENCES:
        pairs = getattr(config, name)
        if isinstance(pairs, tuple):
            dense[name] = text_of((epoch, value) for epoch, value in pairs if epoch < P)
    dense = without_idle(dense)
    resolved = as_json(parse(TrainConfig, command_line(dense)))
    return Cell(f"{config.dataset}-dense-seed-{config.seed}-{short(resolved)}", dense)


def after_start(flags, config, start):
    """The flags of the stages after the dense one, from the net in the run directory `start`."""
    P = config.pretrain_epochs
    rest = {name: text for name, text in flags.items() if name != "pretrain_epochs"}
    rest |= {"init_from": str(start), "eps_schedule": f"0:{config.eps!r}"}  # it is not led up to eps once more
    for name in SEQUENCES:
        pairs = getattr(config, name)
        if isinstance(pairs, tuple):
            later = [(epoch - P, value) for epoch, value in pairs if epoch > P]
            rest[name] = text_of([(0, value_at(pairs, P)), *later])
    return rest


def text_of(pairs):
    return ",".join(f"{epoch}:{value!r}" for epoch, value in pairs)


def name_of(varied, seed):
    """A folder name that says what the grid varied."""
    parts = [*(f"{name}-{value}" for name, value in varied.items()), f"seed-{seed}"]
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", "_".join(parts))
    return name if len(name) <= 120 else f"{name[:110]}-{short(parts)}"


def short(record):
    """Eight digits that tell records apart."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:8]
