"""Flags of a sweep -> its cells, the runs to train, and its starts, dense runs that several cells start from."""

import hashlib
import itertools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from robust_tf.data import DATASETS
from robust_tf.data.folder import images_to_train
from robust_tf.flags.declare import divided, parse, read
from robust_tf.flags.kinds import names_file
from robust_tf.flags.meaning import idle
from robust_tf.flags.suggestions import did_you_mean
from robust_tf.flags.text import identifying
from robust_tf.refusal import Refusal
from robust_tf.sweep.config import SweepConfig
from robust_tf.training.config import TrainConfig
from robust_tf.training.lengths import with_lengths
from robust_tf.training.methods import METHODS
from robust_tf.training.schedules import LEARNING_RATES, STEPS_SCHEDULES, value_at

NOT_VARIED = ("workdir", "seed", "dry_run")
FLAGFILE = "flagfile"  # varied like a flag: each value is a file of flags
SEQUENCES = ("eps_schedule", "steps_schedule", "learning_rate_schedule", "ratio_schedule")


@dataclass(frozen=True)
class Cell:
    """A planned run.

    name: of its run directory.
    flags: of bin/train, as text, without --workdir.
    varied: the flags that the grid sets, a flagfile by its name; runs that agree in them differ only in the seed.
    without: flags that were given and do not apply to it.
    refused: why bin/train would refuse it; "" if it would not.
    start: name of the dense run of the sweep that it starts from; "" for none.
    """

    name: str
    flags: dict
    varied: dict = field(default_factory=dict)
    without: tuple = ()
    refused: str = ""
    start: str = ""


def values_of(grid):
    """["ratio=0.1,0.01", ...] -> {flag: values as text}; raises Refusal for an unknown flag or a bad value."""
    kinds = {name: each.metadata["kind"] for name, each in TrainConfig.__dataclass_fields__.items()}
    found = {}
    for text in grid:
        name, _, values = text.lstrip("-").partition("=")
        if name != FLAGFILE and (name not in kinds or name in NOT_VARIED):
            raise Refusal(
                f"--grid={text}: expected FLAG=VALUE,VALUE for a flag of bin/train, or --seeds for seeds; got {name!r}"
                f"{did_you_mean(name, [each for each in kinds if each not in NOT_VARIED])}"
            )
        if name in found:
            raise Refusal(f"--grid={text}: expected each flag once; got {name} twice")
        found[name] = values.split(";" if ";" in values else ",")
        for value in found[name]:
            try:
                flags_of(value) if name == FLAGFILE else kinds[name].parse(value)
            except (ValueError, Refusal) as error:
                raise Refusal(f"--grid={text}: {error}") from None
    return found


def flags_of(flagfile):
    """{flag: text} of a file of bin/train's flags; raises Refusal."""
    own, flags = divided([f"--flagfile={flagfile}"], SweepConfig, TrainConfig)
    foreign = [*own, *(f"--{name}" for name in NOT_VARIED if name in flags)]
    if foreign:
        raise Refusal(f"{flagfile}: expected flags of bin/train that a sweep may vary; got {foreign[0]}")
    return flags


def cells(flags, grid, seeds, runs):
    """(starts, cells) of a sweep.

    Args:
      flags: of bin/train for all runs, {name: text}.
      grid: {flag: values as text}; each combination gives a cell, except those that give the same run as another.
      seeds: integers.
      runs: folder of the run directories.

    Raises Refusal where bin/train would refuse every cell.
    """
    starts, found, trained = {}, {}, set()
    for *values, seed in itertools.product(*grid.values(), seeds):
        varied, given = {}, dict(flags)
        for name, value in zip(grid, values):
            given |= flags_of(value) if name == FLAGFILE else {name: value}
            varied[name] = Path(value).stem if name == FLAGFILE else value
        cell, start = resolved({**given, "seed": str(seed)}, varied, runs)
        run = cell.name if cell.refused else parse(TrainConfig, command_line(cell.flags))
        if run in trained:
            continue  # 0.1 and 1/10, or values of a flag that does not apply
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
    """(Cell of these flags, Cell of its dense start or None)."""
    start, config = None, None
    try:
        fitting = without_idle(flags)
        config = estimated(parse(TrainConfig, command_line(fitting)))
        if has_dense_start(config):
            start = dense_start(fitting, config)
            fitting = without_idle(after_start(fitting, config, runs / start.name))
            parse(TrainConfig, command_line(fitting))
    except Refusal as refusal:
        return Cell(name_of(varied, flags["seed"]), flags, varied, refused=str(refusal)), None
    trained_before = ("pretrain_epochs",) if start else ()  # it applies to the start
    without = tuple(name for name in flags if name not in (*fitting, *trained_before))
    varied = {name: value for name, value in varied.items() if name not in without}
    name = name_of(varied, flags["seed"])
    return Cell(name, fitting, varied, without, start=start.name if start else ""), start


def estimated(config):
    """`config` with all lengths: of the user's own images, by their number before any is read."""
    known = DATASETS[config.dataset]
    count = images_to_train(config.data_dir, config.test_fraction) if known.is_own else known.train_images
    return with_lengths(config, {}, count)


def has_dense_start(config):
    """Whether the dense stage can be a run of its own: after it every schedule must be that of the whole run."""
    rates = config.learning_rate_schedule
    whole_run = isinstance(rates, str) and LEARNING_RATES[rates].whole_run
    return bool(config.pretrain_epochs) and not config.init_from and not whole_run


def command_line(flags):
    return [f"--{name}={text}" for name, text in flags.items()]


def without_idle(flags):
    """The flags that apply to the run that they describe."""
    while True:
        config, given = read(TrainConfig, command_line(flags))
        unused = idle(config, given)
        if not unused:
            return flags
        flags = {name: text for name, text in flags.items() if name not in unused}


def dense_start(flags, config):
    """The Cell of the dense stage as its own run: natural training for nap, otherwise adversarial."""
    P = config.pretrain_epochs
    dense = {name: text for name, text in flags.items() if name not in ("pretrain_epochs", "extend_while_improving")}
    dense |= {"method": "natural" if METHODS[config.method].natural_start else "da", "epochs": str(P)}
    for name in SEQUENCES:
        pairs = getattr(config, name)
        if isinstance(pairs, tuple):
            dense[name] = text_of((epoch, value) for epoch, value in pairs if epoch < P)
    dense = without_idle(dense)
    identity = identifying(parse(TrainConfig, command_line(dense)))
    return Cell(f"{config.dataset}-dense-seed-{config.seed}-{short(identity)}", dense)


def after_start(flags, config, start):
    """The flags of a run of the stages after the dense one, which starts from the net in the run directory `start`."""
    P = config.pretrain_epochs
    rest = {name: text for name, text in flags.items() if name != "pretrain_epochs"}
    rest |= {"init_from": str(start), "eps_schedule": f"0:{config.eps!r}"}  # eps has reached its final value
    rest |= {"model": config.model} if names_file(config.model) else {}  # which --init_from may have named
    if isinstance(config.steps_schedule, str):  # and so have the attack's steps
        rest["steps_schedule"] = text_of([(0, value_at(STEPS_SCHEDULES[config.steps_schedule](P), P))])
    for name in SEQUENCES:
        pairs = getattr(config, name)
        if isinstance(pairs, tuple):
            later = [(epoch - P, value) for epoch, value in pairs if epoch > P]
            rest[name] = text_of([(0, value_at(pairs, P)), *later])
    return rest


def text_of(pairs):
    return ",".join(f"{epoch}:{value!r}" for epoch, value in pairs)


def name_of(varied, seed):
    """The folder name: the varied flags and the seed."""
    parts = [*(f"{name}-{value}" for name, value in varied.items()), f"seed-{seed}"]
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", "_".join(parts))
    return name if len(name) <= 120 else f"{name[:110]}-{short(parts)}"


def short(record):
    """Eight hexadecimal digits of a record's hash."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:8]
