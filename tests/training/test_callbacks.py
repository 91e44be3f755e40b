"""Callbacks: what is set, swapped, kept and written at which moment."""

import csv

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from rich.console import Console

from robust_tf.compression import atmc
from robust_tf.compression.admm import Admm
from robust_tf.models.kernels import kernels
from robust_tf.projections.irregular import irregular
from robust_tf.training.callbacks.constraint_updates import ConstraintUpdates
from robust_tf.training.callbacks.explosion import Explosion
from robust_tf.training.callbacks.extension import ExtendWhileImproving
from robust_tf.training.callbacks.history import History
from robust_tf.training.callbacks.overfitting import CatastrophicOverfitting
from robust_tf.training.callbacks.pacing import AdaptivePacing
from robust_tf.training.callbacks.schedule import Schedule
from robust_tf.training.callbacks.selection import KeepBest
from robust_tf.training.callbacks.shipping import ShipForValidation
from robust_tf.training.callbacks.support import Support
from robust_tf.training.constraints import WeightConstraint, from_admm
from robust_tf.training.failure import TrainingFailed
from robust_tf.training.model import RobustModel


def nonzero(net):
    return sum(np.count_nonzero(w) for w in kernels(net))


def test_schedule_sets_the_attack_and_the_rate(small_net, small_images):
    x, y = small_images
    model = RobustModel(small_net, eps=0.3, steps=7)
    model.compile("adam")
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((float(model.eps), int(model.steps), round(float(model.optimizer.learning_rate), 6)))

    schedule = Schedule(((0, 0.125), (1, 0.25)), ((0, 1), (2, 3)), ((0, 0.5), (2, 0.25)))
    model.fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[schedule, Watch()])
    assert seen == [(0.125, 1, 0.5), (0.25, 1, 0.5), (0.25, 3, 0.25)]


@pytest.mark.parametrize(
    ("attack", "steps"),
    [
        ({}, 7),
        ({"attack": "fgsm_rs"}, 1),
        ({"attack": "n_fgsm"}, 1),
        ({"loss": "ibp"}, None),
        ({"loss": "sabr"}, 7),
        ({"loss": "trades"}, 7),
    ],
)
def test_the_steps_of_the_attack_are_logged(small_net, attack, steps):
    model = RobustModel(small_net, eps=0.1, **attack)
    model.compile("adam")
    schedule = Schedule(((0, 0.1),), ((0, 7),), ((0, 0.5),))
    schedule.set_model(model)
    schedule.on_epoch_begin(0)
    logs = {}
    schedule.on_epoch_end(0, logs)
    assert logs == {"eps": 0.1, "learning_rate": 0.5} | ({} if steps is None else {"steps": steps})


def test_admm_validates_the_net_that_ships_and_trains_on(small_net, small_images):
    x, y = small_images
    admm = Admm(kernels(small_net), irregular, rho=0.01)
    constraint = from_admm(admm)
    model = RobustModel(small_net, eps=0.1, steps=1, constraint=constraint)
    model.compile("adam")
    counts = {"train": [], "test": []}

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            counts["train"].append(nonzero(small_net))

        def on_test_end(self, logs=None):
            counts["test"].append(nonzero(small_net))

    updates = ConstraintUpdates(constraint, interval=2, k_at=lambda step: 60 - step, rho_at=lambda step: 0.01)
    watched = [Watch(), ShipForValidation(constraint, lambda step: 20), updates]
    history = model.fit(x, y, batch_size=4, epochs=3, verbose=0, validation_data=(x, y), callbacks=watched)
    assert counts["test"] == [20, 20, 20]
    assert min(counts["train"]) > 100
    assert history.history["k"] == [58, 56, 54]
    assert history.history["nonzero"] == [58, 56, 54]


def test_the_best_of_the_epochs_that_compete_is_kept(small_net, tmp_path):
    best = KeepBest(small_net, tmp_path / "best.weights.h5", "robust_accuracy", lambda epoch: epoch > 0)
    bias = small_net.get_layer("logits").bias
    for epoch, accuracy in enumerate([0.9, 0.3, 0.5, 0.4]):  # epoch 0 had an easier eps
        best.on_epoch_begin(epoch)
        bias.assign([float(epoch)] * 3)
        best.on_test_end({"robust_accuracy": accuracy})
    small_net.load_weights(best.path)
    np.testing.assert_array_equal(bias, [2, 2, 2])
    assert [path.name for path in tmp_path.iterdir()] == ["best.weights.h5"]


def test_history_drops_the_rows_that_are_repeated(tmp_path):
    path = tmp_path / "history.csv"
    for first, values in ((0, [1.0, 2.0, 3.0]), (2, [4.0, 5.0])):
        history = History(path, "dense", first)
        for epoch, value in enumerate(values, first):
            history.on_epoch_begin(epoch)
            history.on_epoch_end(epoch, {"loss": value})
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["loss"]) for row in rows] == [("0", "1.0"), ("1", "2.0"), ("2", "4.0"), ("3", "5.0")]


def history_of(path, losses, **columns):
    """A history.csv with these adversarial losses, in training and in validation alike."""
    history = History(path, "dense", 0)
    for epoch, loss in enumerate(losses):
        history.on_epoch_begin(epoch)
        values = {name: column[epoch] for name, column in columns.items()}
        history.on_epoch_end(epoch, {"adversarial_loss": loss, "val_adversarial_loss": loss, **values})
    return history


def test_a_loss_that_is_not_finite_stops_the_run(small_net, small_images, tmp_path):
    x, y = small_images
    small_net.get_layer("logits").bias.assign([np.nan, 0, 0])
    model = RobustModel(small_net, eps=0.1, steps=1)
    model.compile("adam")
    said = "the loss became nan at step 1 of the stage, in epoch 1; so did the gradients of conv/kernel, .* and others"
    with pytest.raises(TrainingFailed, match=said):
        model.fit(x, y, verbose=0, callbacks=[Explosion(history_of(tmp_path / "h.csv", []), 0)])


def test_a_gradient_that_is_not_finite_stops_the_run(small_net, small_images, tmp_path):
    """sqrt(|bias|) at a bias of zero: the loss is finite, its gradient is not."""
    x, y = small_images
    bias = small_net.get_layer("logits").bias
    model = RobustModel(
        small_net, eps=0.1, steps=1, constraint=WeightConstraint(penalty=lambda: tf.reduce_sum(tf.sqrt(tf.abs(bias))))
    )
    model.compile("adam")
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(model=model), tmp_path / "saved", max_to_keep=1)
    manager.save()
    watch = Explosion(history_of(tmp_path / "h.csv", []), 0, manager=manager)
    said = "the gradient of logits/bias became NaN or infinite at step 1 .*last good checkpoint is .*/saved/ckpt-1"
    with pytest.raises(TrainingFailed, match=said):
        model.fit(x, y, verbose=0, callbacks=[watch])


def test_a_weight_that_is_not_finite_stops_the_run(small_net, tmp_path):
    watch = Explosion(history_of(tmp_path / "history.csv", []), 0)
    watch.set_model(RobustModel(small_net, eps=0.1))
    watch.on_epoch_end(0, {"adversarial_loss": 1.0})
    small_net.get_layer("norm").moving_variance.assign([1, 1, np.inf, 1])
    with pytest.raises(TrainingFailed, match="norm/moving_variance became NaN or infinite in epoch 1"):
        watch.on_epoch_end(0, {"adversarial_loss": 1.0})


def test_a_natural_net_may_be_as_weak_as_it_is(small_net, tmp_path):
    logs = {"adversarial_loss": 1.0, "val_adversarial_loss": 1000.0}
    for adversarial in (True, False):
        watch = Explosion(history_of(tmp_path / "history.csv", []), 0, adversarial)
        watch.set_model(RobustModel(small_net, eps=0.1))
        if adversarial:
            with pytest.raises(TrainingFailed, match="of the projected net exploded to 1e"):
                watch.on_epoch_end(0, logs)
        else:
            watch.on_epoch_end(0, logs)


@pytest.mark.parametrize(
    ("earlier", "loss", "explodes"),
    [([1.0, 0.5], 2.3, True), ([1.0, 0.5], 2.1, False), ([], 9.0, False), ([5.0], 9.0, False), ([4.0], 9.0, True)],
)
def test_an_explosion_is_twice_a_guess_and_twice_the_best(small_net, tmp_path, earlier, loss, explodes):
    """A guess among three classes costs log 3 = 1.1."""
    watch = Explosion(history_of(tmp_path / "history.csv", earlier), 0)
    watch.set_model(RobustModel(small_net, eps=0.1))
    if explodes:
        with pytest.raises(TrainingFailed, match=f"exploded to {loss:.3g} in epoch {len(earlier) + 1}"):
            watch.on_epoch_end(len(earlier), {"adversarial_loss": loss})
    else:
        watch.on_epoch_end(len(earlier), {"adversarial_loss": loss})


def test_an_explosion_is_recorded_where_it_does_not_end_training(small_net, tmp_path):
    """But not what is not finite."""
    watch = Explosion(history_of(tmp_path / "history.csv", [0.5]), 0, stops=False)
    watch.set_model(RobustModel(small_net, eps=0.1))
    watch.on_epoch_end(1, {"adversarial_loss": 1e6, "val_adversarial_loss": 1e9})
    small_net.get_layer("logits").bias.assign([float("nan")] * 3)
    with pytest.raises(TrainingFailed, match="logits/bias became NaN or infinite in epoch 2"):
        watch.on_epoch_end(1, {"adversarial_loss": 1e6})


def test_k_stands_still_while_the_loss_is_too_high():
    pacing = AdaptivePacing("k", tolerance=0.1)
    stood = []
    for epoch, loss in enumerate([2.0, 1.0, 1.09, 1.2, 1.11, 0.9, 1.0]):
        pacing.on_epoch_end(epoch, {"val_adversarial_loss": loss})
        stood.append(pacing.epochs_waited("k"))
    assert stood == [0, 0, 0, 1, 2, 2, 3]
    assert pacing.at(10) == 7
    assert pacing.epochs_waited("eps") == 0


def test_a_schedule_may_be_held_back(small_net):
    pacing = AdaptivePacing("eps", tolerance=0.0)
    schedule = Schedule(((0, 0.1), (2, 0.2)), ((0, 1),), ((0, 0.5),), pacing)
    model = RobustModel(small_net, eps=0.2)
    model.compile("adam")
    schedule.set_model(model)
    seen = []
    for epoch, loss in enumerate([1.0, 2.0, 0.5, 0.4]):
        schedule.on_epoch_begin(epoch)
        seen.append(round(float(model.eps), 3))
        pacing.on_epoch_end(epoch, {"val_adversarial_loss": loss})
    assert seen == [0.1, 0.1, 0.1, 0.2]


@pytest.mark.parametrize(("robust", "trained", "stops"), [(0.1, 0.9, True), (0.35, 0.9, False), (0.1, 0.5, False)])
def test_catastrophic_overfitting_ends_the_stage(small_net, tmp_path, capsys, robust, trained, stops):
    """PGD accuracy 0.6 before, training accuracy 0.7."""
    columns = {"val_robust_accuracy": [0.5, 0.6], "robust_accuracy": [0.6, 0.7]}
    history = history_of(tmp_path / "history.csv", [1.0, 1.0], **columns)
    best = KeepBest(small_net, tmp_path / "best.weights.h5", "robust_accuracy", lambda epoch: True)
    watch = CatastrophicOverfitting(history, 0, best, Console())
    watch.set_model(RobustModel(small_net, eps=0.1))
    watch.model.stop_training = False
    logs = {"val_robust_accuracy": robust, "robust_accuracy": trained}
    if stops:
        with pytest.raises(TrainingFailed, match="catastrophic overfitting in epoch 3"):
            watch.on_epoch_end(2, logs)
        best.on_test_end({"robust_accuracy": 0.6})
    watch.on_epoch_end(2, logs)
    assert watch.model.stop_training == stops
    assert ("fell from 60.0% to 10.0%" in capsys.readouterr().out) == stops


def test_training_is_extended_while_the_loss_falls(small_net, tmp_path):
    model = RobustModel(small_net, eps=0.1)
    stopped = []
    for losses in ([3.0, 2.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0, 1.5]):
        watch = ExtendWhileImproving(history_of(tmp_path / "history.csv", losses), 0, end_epoch=2)
        watch.set_model(model)
        model.stop_training = False
        watch.on_epoch_end(len(losses) - 1)
        stopped.append(model.stop_training)
    assert stopped == [False, False, True]


def test_averages_are_what_validation_sees(small_images):
    """By hand: a <- 0.5 a + 0.5 w after each step; what is validated is a, what trains on is w."""
    x, y = small_images
    norm = keras.layers.BatchNormalization(momentum=0.9)
    layers = [keras.layers.Conv2D(4, 3), norm, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)]
    net = keras.Sequential([keras.Input(x.shape[1:]), *layers])
    model = RobustModel(net, eps=0.1, steps=1)
    model.compile(keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5))
    read = lambda: np.stack([norm.gamma, norm.moving_mean, norm.moving_variance])
    trained, measured = [read()], []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            trained.append(read())

        def on_test_end(self, logs=None):
            measured.append(read())

        def on_epoch_end(self, epoch, logs=None):
            measured.append(read())

    watched = [Watch(), ShipForValidation(WeightConstraint(), lambda step: 0, averages=True)]
    model.optimizer.build(net.trainable_variables)
    model.fit(x, y, batch_size=4, epochs=1, verbose=0, validation_data=(x, y), callbacks=watched)
    average = trained[0]
    for w in trained[1:]:
        average = 0.5 * average + 0.5 * w
    np.testing.assert_allclose(measured[0], average, rtol=1e-5, atol=1e-6)
    assert (trained[-1] != average).any(axis=1).all()
    np.testing.assert_array_equal(measured[1], trained[-1])


def test_a_rate_that_moves_by_step(small_net, small_images):
    """One cycle over two epochs of four steps: each step has the rate of its place on the line."""
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(self.model.optimizer.learning_rate))

    model = RobustModel(small_net, eps=0.1, steps=1)
    model.compile(keras.optimizers.SGD(1.0))
    rates = ((0, 0.0), (1.0, 0.4), (2, 0.0))
    schedule = Schedule(((0, 0.1),), ((0, 1),), rates, smooth=["learning_rate"], steps_per_epoch=4)
    model.fit(*small_images, batch_size=2, epochs=2, verbose=0, callbacks=[schedule, Watch()])
    np.testing.assert_allclose(seen, [0, 0.1, 0.2, 0.3, 0.4, 0.3, 0.2, 0.1], atol=1e-6)


def test_how_much_of_the_support_is_new(small_net):
    """Of 3 non-zero weights one was zero before; then of 2 none."""
    support, W = Support(small_net), kernels(small_net)

    def logged(*positions):
        for w in W:
            w.assign(tf.zeros_like(w))
        W[1].assign(
            tf.tensor_scatter_nd_update(
                W[1], np.array([[i, 0] for i in positions], int).reshape(-1, 2), [-1.0] * len(positions)
            )
        )
        support.on_test_begin()
        logs = {}
        support.on_epoch_end(0, logs)
        return logs

    assert logged(1, 2, 5) == {}
    assert logged(1, 2, 6) == {"support_churn": pytest.approx(1 / 3)}
    assert logged(1, 6) == {"support_churn": 0}
    assert logged() == {"support_churn": 0}


def test_entries_of_the_factors_are_counted(small_net):
    net = atmc.factorise(small_net)
    net.get_layer("conv").U.assign(tf.eye(4))
    net.get_layer("logits").C.assign(tf.ones_like(net.get_layer("logits").C))
    support, logs = Support(net), {}
    support.on_test_begin()
    support.on_epoch_end(0, logs)
    V = sum(np.count_nonzero(w) for w in kernels(small_net))
    assert logs == {"nonzero_U": 4, "nonzero_V": V, "nonzero_C": net.get_layer("logits").C.shape.num_elements()}
