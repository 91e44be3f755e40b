"""HOLDS[name](config, net) -> Hold: what holds a stage's weights to their constraint.

""         nothing
admm       a penalty towards the projection (thesis, Algorithm 1)
masks      zeros stay zero: tensorflow-model-optimization's wrappers
projected  the k largest of all kernels, or of all factors of ATMC, stay (Gui et al., Algorithm 1)
centroids  the weights of a codebook's value stay equal
"""

import dataclasses

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from robust_tf.compression import atmc, masks
from robust_tf.compression.admm import Admm
from robust_tf.compression.centroids import Centroids
from robust_tf.models.kernels import kernels
from robust_tf.training.constraint import projection


def _nothing(*_):
    return None


@dataclasses.dataclass
class Hold:
    """What happens to the weights beside the optimiser's steps; by default nothing.

    trained: the Keras net that the optimiser trains, where it is not the run's own; they share weights.
    attacked: a net of the same function that is cheaper to attack; before_step() brings it up to date, in the graph,
      where the two do not share weights.
    bounded: where `trained` has layers that interval bounds do not know, a net that shares its weights.
    penalty(): joins the loss, in the graph.
    after_step(step): in the graph, after the optimiser's step number `step`.
    start(k): before the first step.
    update(k, rho): between steps, every `admm_interval` of them; returns figures for the history.
    ship(k): turns the weights into those that would ship.
    state: what a resumed run needs of it.
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


def free(config, net):
    return Hold()


def penalised(held):
    """The Hold of an `Admm`."""
    return Hold(penalty=held.penalty, start=held.start, update=held.update, ship=held.project_hard, state=held)


def admm(config, net):
    return penalised(Admm(kernels(net), projection(config, net), config.rho))


def masked(config, net):
    twin = masks.wrap(net)
    return Hold(
        trained=twin,
        attacked=net,
        bounded=net,
        # The wrappers mask when they are called: until then what the optimiser made of pruned weights is in the net
        # that attacks see, where a filter that is wholly zero has a batch norm of no variance, which magnifies it.
        after_step=lambda step: masks.apply(twin),
        ship=lambda k: masks.apply(twin),
        callbacks=(tfmot.sparsity.keras.UpdatePruningStep(),),
    )


def attacked_plain(hold, net):
    """`hold` with attacks on plain layers, where `net` has ATMC's: its factors are multiplied once a step."""
    if any(atmc.is_factorised(layer) for layer in net.layers):
        hold.attacked = atmc.plain(net)
        hold.before_step = lambda: atmc.write(net, hold.attacked)
    return hold


def projected(config, net):
    k_now = tf.Module()
    k_now.k = tf.Variable(0, trainable=False, dtype=tf.int32, name="k")

    def project():
        atmc.project(net, k_now.k)

    def after_step(step):
        if config.project_every == 1:
            project()
        else:
            tf.cond(step % config.project_every == 0, lambda: (project(), 0)[1], lambda: 0)

    def update(k, rho):
        k = min(k, int(k_now.k.numpy()))  # never rises, as in `Admm.update`
        k_now.k.assign(k)
        return {"k": k, "nonzero": sum(int(tf.math.count_nonzero(w)) for w in atmc.factors(net))}

    hold = Hold(
        after_step=after_step, start=k_now.k.assign, update=update, ship=lambda k: atmc.project(net, k), state=k_now
    )
    return attacked_plain(hold, net)


def centroids(config, net):
    held = Centroids(atmc.factors(net))
    hold = Hold(after_step=lambda step: held.project(), ship=lambda k: held.project(), state=held)
    return attacked_plain(hold, net)


HOLDS = {"": free, "admm": admm, "masks": masked, "projected": projected, "centroids": centroids}
