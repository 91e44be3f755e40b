"""RECIPES[method](config) -> stages: each training method, as the papers state it.

normal  train on clean images
da      train on adversarial images
admm    train on adversarial images, then under ADMM's penalty to k weights and project, then with the zeros fixed
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stretch of training: adversarial or natural, and what holds the weights: nothing, "admm" or "masks"."""

    name: str
    epochs: int
    adversarial: bool = True
    held_by: str = ""


def normal(config):
    return [Stage("natural", config.epochs, adversarial=False)]


def da(config):
    return [Stage("dense", config.epochs)]


def admm(config):
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("admm", config.epochs, held_by="admm"),
        Stage("finetune", config.finetune_epochs, held_by="masks"),
    ]


RECIPES = {"normal": normal, "da": da, "admm": admm}
