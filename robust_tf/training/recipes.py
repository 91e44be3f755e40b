"""RECIPES[method](config) -> stages: each training method, as the papers state it.

normal  train on clean images
da      train on adversarial images
nap     train on clean images; keep the k largest weights; train on clean images with the zeros fixed
ap      the same on adversarial images throughout
admm    train on adversarial images, then under ADMM's penalty to k weights and project, then with the zeros fixed

A stage of no epochs is skipped: with --init_from the dense start may come from an earlier run.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stretch of training: adversarial or natural, and what holds the weights: nothing, "admm" or "masks".

    prune: project the weights onto the constraint before it.
    """

    name: str
    epochs: int
    adversarial: bool = True
    held_by: str = ""
    prune: bool = False


def normal(config):
    return [Stage("natural", config.epochs, adversarial=False)]


def da(config):
    return [Stage("dense", config.epochs)]


def nap(config):
    return [
        Stage("natural", config.pretrain_epochs, adversarial=False),
        Stage("finetune", config.epochs, adversarial=False, held_by="masks", prune=True),
    ]


def ap(config):
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("finetune", config.epochs, held_by="masks", prune=True),
    ]


def admm(config):
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("admm", config.epochs, held_by="admm"),
        Stage("finetune", config.finetune_epochs, held_by="masks"),
    ]


RECIPES = {"normal": normal, "da": da, "nap": nap, "ap": ap, "admm": admm}
