"""What holds the weights: the projected factors of ATMC learn, and what is measured is what ships."""

import numpy as np
import tf_keras as keras

from robust_tf.compression import atmc
from robust_tf.flags.declare import parse
from robust_tf.models.kernels import count, kernels
from robust_tf.training.callbacks.constraint_updates import ConstraintUpdates
from robust_tf.training.config import TrainConfig
from robust_tf.training.constraints import CONSTRAINTS
from robust_tf.training.model import RobustModel


def fit(net, hold, images, epochs=6, rate=0.05, k=60, interval=1):
    x, y = images
    model = RobustModel(net, eps=0.05, steps=1, constraint=hold)
    model.compile(keras.optimizers.Adam(rate))
    updates = ConstraintUpdates(hold, interval, lambda step: k, lambda step: 0.0)
    model.fit(x, y, batch_size=4, epochs=epochs, verbose=0, callbacks=[updates])
    return model


def test_all_factors_of_atmc_learn_within_one_budget(small_net, small_images):
    """Large steps, and a few between projections, let U and C in; the budget holds all the same."""
    net = atmc.factorise(small_net)
    config = parse(TrainConfig, ["--method=atmc", "--project_every=3"])
    fit(net, CONSTRAINTS["projected"](config, net), small_images, k=180)
    report = atmc.report(net)
    assert 0 < report.nonzero <= 180
    assert sum(row.U or 0 for row in report.layers) > 0
    assert sum(row.V or 0 for row in report.layers) > 0


def test_admm_on_factors_ships_one_budget(small_net, small_images):
    """The penalty draws the factors towards k entries; what ships has k of them, and none twice."""
    net = atmc.factorise(small_net)
    hold = CONSTRAINTS["factors"](
        parse(TrainConfig, ["--method=atmc", "--factor_constraint=admm", "--rho=10", "--rho_max=10"]), net
    )
    hold.start(60)
    before = outside(net, 60)
    fit(net, hold, small_images, k=60, epochs=40, rate=0.02, interval=20)
    assert outside(net, 60) < 0.2 * before
    assert sum(np.count_nonzero(w) for w in atmc.factors(net)) > 60
    hold.ship(60)
    assert sum(np.count_nonzero(w) for w in atmc.factors(net)) == 60
    for layer in net.layers:
        if atmc.is_factorised(layer) and not np.count_nonzero(layer.U):
            assert not np.count_nonzero(layer.C.numpy() * layer.kernel.numpy())


def outside(net, k):
    """The fraction of the factors' squared norm outside their k largest entries."""
    squares = np.sort(np.concatenate([np.ravel(w) ** 2 for w in atmc.factors(net)]))
    return squares[:-k].sum() / squares.sum()


def test_attacks_see_the_function_that_trains(small_net, small_images):
    """The plain net that is attacked is brought up to date before each step."""
    net = atmc.factorise(small_net)
    hold = CONSTRAINTS["projected"](parse(TrainConfig, ["--method=atmc"]), net)
    fit(net, hold, small_images, epochs=2)
    hold.before_step()
    np.testing.assert_allclose(hold.attacked(small_images[0]), net(small_images[0]), atol=1e-5)


def test_projected_kernels_keep_k_after_every_step(small_net, small_images):
    counts = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            counts.append(sum(np.count_nonzero(w) for w in kernels(small_net)))

    hold = CONSTRAINTS["projected"](parse(TrainConfig, ["--method=l0"]), small_net)
    x, y = small_images
    model = RobustModel(small_net, eps=0.05, steps=1, constraint=hold)
    model.compile("adam")
    total = count(kernels(small_net))
    updates = ConstraintUpdates(hold, 1, lambda step: max(total - 20 * step, 30), lambda step: 0.0)
    model.fit(x, y, batch_size=4, epochs=8, verbose=0, callbacks=[updates, Watch()])
    # k of a step is what the update after the step before it set.
    assert counts == [max(total - 20 * step, 30) for step in range(len(counts))]


def test_attacks_see_masked_kernels(small_net, small_images):
    """What the optimiser made of pruned weights is gone before the next step's attack, not only in its forward pass."""
    kernel = small_net.get_layer("conv").kernel
    kernel.assign(kernel * (1, 0, 1, 0))  # whole filters, as batch norm magnifies what comes back of them
    small_net.get_layer("norm").beta.assign([1] * 4)  # their ReLU lets gradients through
    hold = CONSTRAINTS["masks"](parse(TrainConfig, []), small_net)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(np.abs(kernel.numpy()[..., 1::2]).max())

    x, y = small_images
    model = RobustModel(hold.trained, eps=0.05, steps=1, constraint=hold)
    model.compile("sgd")
    model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[Watch(), *hold.callbacks])
    assert hold.attacked is small_net
    assert seen == [0.0] * 4
