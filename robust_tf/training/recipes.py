"""RECIPES[method](config) -> stages: each training method, as the papers state it.

normal  train on clean images
da      train on adversarial images
nap     train on clean images; keep the k largest weights; train on clean images with the zeros fixed
ap      the same on adversarial images throughout
alr     train on adversarial images; factorise into thin layers of k weights; train those on adversarial images
l0      train on adversarial images; train on, keeping the largest weights after every step, while k falls (ours: the
        second stage of atmc by itself)
admm    train on adversarial images, then under ADMM's penalty to k weights and project, then with the zeros fixed
atmc    train on adversarial images; go down to the k largest weights; train (I + U')V + C with k weights in all
        factors; one-shot: (I + U')V + C from the start, while k falls

All but normal and nap see adversarial images only. A stage of no epochs trains nothing: with --init_from the dense
start may come from an earlier run.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stretch of training.

    name: what the history calls it.
    epochs: its length.
    adversarial: on adversarial images, else on clean ones.
    first: name of `training.prepare`, what is done to the net before it; "" nothing.
    held_by: name of `training.holds`, what holds the weights; "" nothing.
    k_falls: from all weights to k, else k from the start.
    """

    name: str
    epochs: int
    adversarial: bool = True
    first: str = ""
    held_by: str = ""
    k_falls: bool = False


def normal(config):
    return [Stage("natural", config.epochs, adversarial=False)]


def da(config):
    return [Stage("dense", config.epochs)]


def nap(config):
    return [
        Stage("natural", config.pretrain_epochs, adversarial=False),
        Stage("finetune", config.epochs, adversarial=False, first="prune", held_by="masks"),
    ]


def ap(config):
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("finetune", config.epochs, first="prune", held_by="masks"),
    ]


def alr(config):
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("finetune", config.epochs, first="low_rank"),
    ]


def l0(config):
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("l0", config.epochs, held_by="projected", k_falls=True),
    ]


def admm(config):
    # A codebook or thin factors have no mask.
    fixed = {"codebook": {"held_by": "centroids"}, "low_rank": {"first": "low_rank"}}
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("admm", config.epochs, held_by="admm", k_falls=True),
        Stage("finetune", config.finetune_epochs, **fixed.get(config.projection, {"held_by": "masks"})),
    ]


def atmc(config):
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("l0", 0 if config.one_shot else config.l0_epochs, held_by="projected", k_falls=True),
        Stage("atmc", config.epochs, first="factorise", held_by="projected", k_falls=config.one_shot),
        Stage(
            "codebook", config.codebook_epochs, held_by="centroids", first="quantise" if config.codebook_epochs else ""
        ),
    ]


RECIPES = {"normal": normal, "da": da, "nap": nap, "ap": ap, "alr": alr, "l0": l0, "admm": admm, "atmc": atmc}
