"""CONSTRAINTS[name](config, net) -> WeightConstraint: how a stage keeps the weights within their constraint.

""         not at all
admm       by a penalty towards the projection (thesis, Algorithm 1)
masks      by fixed zeros, with tensorflow-model-optimization's wrappers
projected  by projection onto the k largest weights of all kernels, or of all factors of ATMC (Gui et al., Algorithm 1)
factors    by a penalty towards the k largest entries of ATMC's factors
scores     by masks of the k largest scores of HYDRA
centroids  by equal weights wherever the codebook has assigned the same value
codebook   by a penalty towards ATMC's factors with 2^bits values each
"""

import dataclasses
from functools import partial

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from robust_tf.compression import atmc, hydra, masks
from robust_tf.compression.admm import Admm
from robust_tf.compression.centroids import Centroids
from robust_tf.compression.plain import is_plain, plain, write
from robust_tf.models.kernels import count, kernels
from robust_tf.projections import PROJECTIONS
from robust_tf.training.methods import CODEBOOK_STAGES
from robust_tf.training.projection import budget, projection


def _nothing(*_):
    return None


@dataclasses.dataclass
class WeightConstraint:
    """What happens to the weights beside the optimiser's updates; by default nothing.

    trained: the Keras net that the optimiser trains, if it is not the run's own net; the two share weights.
    attacked: a net that computes the same function and is cheaper to attack.
    bounded: a net that shares the weights of `trained`, if interval bounds do not support the layers of that.
    before_step(): called in the graph before each training step; updates `attacked` where it has its own weights.
    penalty(): in the graph; a term of the loss.
    after_step(step): called in the graph after the optimiser's update number `step`.
    start(k): called before the stage's first training step.
    update(k, rho): called between training steps, see `stage.interval`; returns figures for the history.
    ship(k): replaces the weights by those that would ship.
    state: variables that checkpoints must hold.
    callbacks: further Keras callbacks.
    """

    trained: keras.Model | None = None
    attacked: keras.Model | None = None
    bounded: keras.Model | None = None
    before_step: callable = _nothing
    penalty: callable = lambda: 0.0
    after_step: callable = _nothing
    start: callable = _nothing
    update: callable = lambda k, rho: {}
    ship: callable = _nothing
    state: tf.Module | None = None
    callbacks: tuple = ()


def unconstrained(config, net):
    return WeightConstraint()


def from_admm(admm):
    """The WeightConstraint of a `compression.admm.Admm`."""
    return WeightConstraint(
        penalty=admm.penalty, start=admm.start, update=admm.update, ship=admm.project_hard, state=admm
    )


def admm(config, net):
    return from_admm(Admm(kernels(net), projection(config, net), config.rho))


def masked(config, net):
    twin = masks.wrap(net)
    return WeightConstraint(
        trained=twin,
        attacked=net,
        bounded=net,
        # The wrappers mask only when they are called. Without this, attacks would see the optimiser's changes to pruned
        # weights, and behind an all-zero filter a batch norm with variance 0 would magnify them.
        after_step=lambda step: masks.apply(twin),
        ship=lambda k: masks.apply(twin),
        callbacks=(tfmot.sparsity.keras.UpdatePruningStep(),),
    )


def attacked_plain(constraint, net):
    """`constraint`, with attacks on plain layers if `net` has others: kernels are put together once a training step."""
    if not all(map(is_plain, net.layers)):
        constraint.attacked, prepare = plain(net), constraint.before_step

        def before_step():
            prepare()
            write(net, constraint.attacked)

        constraint.before_step = before_step
    return constraint


def projected(config, net):
    k_now = tf.Module()
    k_now.k = tf.Variable(0, trainable=False, dtype=tf.int32, name="k")

    def project():
        atmc.project(net, k_now.k, config.normalise_layers)

    def after_step(step):
        if config.project_every == 1:
            project()
        else:
            tf.cond(step % config.project_every == 0, lambda: (project(), 0)[1], lambda: 0)

    def update(k, rho):
        k = min(k, int(k_now.k.numpy()))  # never rises, as in `Admm.update`
        k_now.k.assign(k)
        return {"k": k, "nonzero": sum(int(tf.math.count_nonzero(w)) for w in atmc.factors(net))}

    constraint = WeightConstraint(
        after_step=after_step,
        start=k_now.k.assign,
        update=update,
        ship=lambda k: atmc.project(net, k, config.normalise_layers),
        state=k_now,
    )
    return attacked_plain(constraint, net)


def factors(config, net):
    """ADMM on all factors: Z is the k largest entries of W + U. What ships spends no budget twice, see `atmc.merge`."""
    W = atmc.factors(net)
    state = Admm(W, lambda tensors, k: atmc.largest(net, tensors, k, config.normalise_layers), config.rho)

    def ship(k):
        for w, u in zip(W, state.U):
            w.assign_add(u)
        atmc.project(net, k, config.normalise_layers)

    return attacked_plain(dataclasses.replace(from_admm(state), ship=ship), net)


def scores(config, net):
    k = budget(config.ratio, count(kernels(net)))
    chosen = WeightConstraint(before_step=lambda: hydra.choose(net, k), ship=lambda k: hydra.drop(net, k))
    return attacked_plain(chosen, net)


def codebook(config, net):
    """ADMM on all factors: Z is the k-means codebook of W + U, with one centre at zero."""
    project = partial(PROJECTIONS["codebook"].resolve(), bits=config.bits)
    rho = CODEBOOK_STAGES["admm"].facts["rho"]
    return attacked_plain(from_admm(Admm(atmc.factors(net), project, rho)), net)


def centroids(config, net):
    values = Centroids(atmc.factors(net))
    constraint = WeightConstraint(
        after_step=lambda step: values.project(), ship=lambda k: values.project(), state=values
    )
    return attacked_plain(constraint, net)


CONSTRAINTS = {
    "": unconstrained,
    "admm": admm,
    "masks": masked,
    "projected": projected,
    "factors": factors,
    "scores": scores,
    "centroids": centroids,
    "codebook": codebook,
}
