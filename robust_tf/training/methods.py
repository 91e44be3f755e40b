"""METHODS[name].stages(config): each training method, as the papers state it, as a list of stages.

none     leave the net as it is
natural  train on clean images
da       train on adversarial images
nap      train on clean images; keep the k largest weights; train on clean images with fixed zeros
ap       as nap, with adversarial images in both stages
alr      train on adversarial images; factorise into thin layers with k weights; train those on adversarial images
l0       train on adversarial images; go on with iterative hard thresholding: keep only the k largest weights while k
         falls (the second stage of atmc alone); train with fixed zeros
hydra    train on adversarial images; freeze the kernels and train scores, of which the k largest choose which weights
         stay; train those with fixed zeros
admm     train on adversarial images; go on with ADMM's penalty towards k weights; project; train with fixed zeros
atmc     train on adversarial images; go on with iterative hard thresholding down to k weights; train (I + U')V + C with
         k weights in all factors together; one-shot: factorise first and let k fall in the factors; with ADMM's penalty
         towards k weights in place of projections: then project, and train with projections

A stage with 0 epochs does not train: with --init_from the dense net may come from an earlier run.
"""

from collections.abc import Callable
from dataclasses import dataclass

from robust_tf.projections import PROJECTIONS
from robust_tf.registry import Entry


@dataclass(frozen=True)
class Stage:
    """A part of the training.

    name: in history.csv and the names of checkpoints.
    adversarial: whether it trains on adversarial images, otherwise on clean ones.
    prepare: name in `training.prepare` of what is done to the net before the stage; "" for nothing.
    constraint: name in `training.constraints`; "" for no constraint.
    k_falls: whether k falls from all weights to its final value; otherwise it has that value from the start.
    adapts: whether --adaptive may delay eps or k in it.
    k_every_step: whether k falls at each training step, if it falls; else at the updates of the constraint.
    rho: ADMM's penalty weight, constant; None for --rho to --rho_max.
    interval: training steps between updates of the constraint; None for as configured.
    eps_grows: whether the default schedules of eps and steps include it.
    """

    name: str
    epochs: int
    adversarial: bool = True
    prepare: str = ""
    constraint: str = ""
    k_falls: bool = False
    adapts: bool = False
    k_every_step: bool = False
    rho: float | None = None
    interval: int | None = None
    eps_grows: bool = True


@dataclass(frozen=True, kw_only=True)
class Method:
    """A training method.

    stages: TrainConfig -> list of Stage.
    options: flags of bin/train that apply to it.
    kept_by: kinds of projections that it supports, see `Projection.kept_by`.
    natural_start: whether its dense stage is natural training.
    needs_start: whether it prunes at once what it is given, and so needs a dense start by default.
    offered: whether bin/train lists it; otherwise it is that of another command.
    """

    stages: Callable
    summary: str
    options: tuple = ()
    kept_by: tuple = ()
    natural_start: bool = False
    needs_start: bool = False
    offered: bool = True

    @property
    def compresses(self):
        return "ratio" in self.options

    @property
    def projects(self):
        """Whether --projection names its constraint."""
        return "projection" in self.options


def none(config):
    return []


def natural(config):
    return [Stage("natural", config.epochs, adversarial=False)]


def da(config):
    return [Stage("dense", config.epochs)]


def nap(config):
    return [
        Stage("natural", config.pretrain_epochs, adversarial=False),
        Stage("finetune", config.epochs, adversarial=False, prepare="prune", constraint="masks", eps_grows=False),
    ]


def ap(config):
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("finetune", config.epochs, prepare="prune", constraint="masks", eps_grows=False),
    ]


def alr(config):
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("finetune", config.epochs, prepare="low_rank", eps_grows=False),
    ]


def l0(config):
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("l0", config.epochs, constraint="projected", k_falls=True, k_every_step=True),
        Stage("finetune", config.finetune_epochs, constraint="masks", eps_grows=False),
    ]


def hydra(config):
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("scores", config.score_epochs, prepare="score", constraint="scores", eps_grows=False),
        Stage("finetune", config.epochs, prepare="keep_scored", constraint="masks", eps_grows=False),
    ]


def admm(config):
    # A codebook and thin layers have no masks.
    fixed = {
        "masks": {"constraint": "masks"},
        "centroids": {"constraint": "centroids"},
        "thin layers": {"prepare": "low_rank"},
    }[PROJECTIONS[config.projection].kept_by]
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("admm", config.epochs, constraint="admm", k_falls=True, adapts=True),
        Stage("finetune", config.finetune_epochs, eps_grows=False, **fixed),
    ]


def atmc(config):
    codebook = CODEBOOK_STAGES[config.codebook_stage].facts if config.codebook_epochs else {}
    projected = FACTOR_CONSTRAINTS["projection"].facts
    facts = FACTOR_CONSTRAINTS[config.factor_constraint].facts
    return [
        Stage("dense", config.pretrain_epochs),
        Stage("l0", 0 if config.one_shot else config.l0_epochs, k_falls=True, **projected),
        Stage("atmc", config.epochs, prepare="factorise", k_falls=config.one_shot, **facts),
        Stage("finetune", config.finetune_epochs, eps_grows=False, **projected),
        Stage("codebook", config.codebook_epochs, eps_grows=False, **codebook),
    ]


FACTOR_STARTS = {
    "identity": Entry(
        address="robust_tf.compression.atmc:identity_start",
        summary="U' = 0, V = W, C = 0 (the published code of Gui et al.)",
    ),
    "svd": Entry(
        address="robust_tf.compression.atmc:svd_start",
        summary="I + U' and V of equal size from the singular value decomposition of W, C = 0",
    ),
}


@dataclass(frozen=True, kw_only=True)
class FactorConstraint:
    """How atmc keeps k entries in all factors together; facts: fields of its `Stage`."""

    summary: str
    facts: dict
    options: tuple = ()


FACTOR_CONSTRAINTS = {
    "projection": FactorConstraint(
        summary="projection after training steps (Gui et al., Algorithm 1)",
        facts={"constraint": "projected", "k_every_step": True},
    ),
    "admm": FactorConstraint(
        summary="ADMM's penalty towards them (as the thesis does for kernels), then --finetune_epochs with projections",
        facts={"constraint": "factors"},
        options=("finetune_epochs", "admm_interval", "rho", "rho_max"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class CodebookStage:
    """How atmc's last stage trains factors of 2^bits values; facts: fields of its `Stage`."""

    summary: str
    facts: dict
    options: tuple = ()


CODEBOOK_STAGES = {
    "centroids": CodebookStage(
        summary="k-means once, then training of the values with fixed assignments",
        facts={"prepare": "cluster", "constraint": "centroids"},
    ),
    "admm": CodebookStage(
        summary="ADMM towards k-means of W + U every 5 training steps, rho 0.1 (the published code of Gui et al.)",
        facts={"constraint": "codebook", "rho": 0.1, "interval": 5},
    ),
}
ADVERSARIAL = ("loss", "eps_schedule")
COMPRESSING = ("ratio", "pretrain_epochs")
METHODS = {
    "natural": Method(stages=natural, summary="natural training"),
    "da": Method(stages=da, summary="dense adversarial training", options=ADVERSARIAL),
    "nap": Method(
        stages=nap,
        summary="natural training, pruning, natural training with fixed zeros",
        options=(*COMPRESSING, "projection"),
        kept_by=("masks",),
        natural_start=True,
        needs_start=True,
    ),
    "ap": Method(
        stages=ap,
        summary="adversarial training, pruning, adversarial training with fixed zeros",
        options=(*ADVERSARIAL, *COMPRESSING, "projection"),
        kept_by=("masks",),
        needs_start=True,
    ),
    "alr": Method(
        stages=alr,
        summary="adversarial training, factorisation into thin layers, adversarial training of those",
        options=(*ADVERSARIAL, *COMPRESSING, "rank_rule"),
        needs_start=True,
    ),
    "l0": Method(
        stages=l0,
        summary="adversarial training with iterative hard thresholding: only the k largest weights stay, while k falls",
        options=(
            *ADVERSARIAL, *COMPRESSING, "ratio_schedule", "project_every", "normalise_layers", "finetune_epochs",
        ),
    ),
    "hydra": Method(
        stages=hydra,
        summary="adversarial training, then of scores that choose which of its weights stay, then with fixed zeros",
        options=(*ADVERSARIAL, *COMPRESSING, "score_epochs"),
        needs_start=True,
    ),
    "admm": Method(
        stages=admm,
        summary="adversarial training with ADMM's penalty towards a constraint on the weights",
        options=(
            *ADVERSARIAL, *COMPRESSING, "projection", "ratio_schedule", "adaptive", "finetune_epochs", "admm_interval",
            "rho", "rho_max",
        ),
        kept_by=("masks", "centroids", "thin layers"),
    ),
    "atmc": Method(
        stages=atmc,
        summary="adversarial training of kernels factorised as (I + U)V + C, with k weights in all factors together",
        options=(
            *ADVERSARIAL, *COMPRESSING, "one_shot", "codebook_epochs", "project_every", "normalise_layers",
            "factor_start", "factor_constraint", "thin_layers",
        ),
    ),
    "none": Method(stages=none, summary="no training, as with bin/import", offered=False),
}  # fmt: skip
ALIASES = {"normal": "natural"}  # earlier names
