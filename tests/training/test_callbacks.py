"""Callbacks: what is set, swapped, kept and written at which moment."""

import csv

import numpy as np
import pytest
import tf_keras as keras

from robust_tf.compression.admm import Admm
from robust_tf.models.kernels import kernels
from robust_tf.projections.irregular import irregular
from robust_tf.training import callbacks
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

    schedule = callbacks.Schedule(((0, 0.125), (1, 0.25)), ((0, 1), (2, 3)), ((0, 0.5), (2, 0.25)))
    model.fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[schedule, Watch()])
    assert seen == [(0.125, 1, 0.5), (0.25, 1, 0.5), (0.25, 3, 0.25)]


def test_admm_validates_the_net_that_ships_and_trains_on(small_net, small_images):
    x, y = small_images
    admm = Admm(kernels(small_net), irregular, rho=0.01)
    model = RobustModel(small_net, eps=0.1, steps=1, admm=admm)
    model.compile("adam")
    counts = {"train": [], "test": []}

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            counts["train"].append(nonzero(small_net))

        def on_test_end(self, logs=None):
            counts["test"].append(nonzero(small_net))

    updates = callbacks.AdmmUpdates(admm, interval=2, k_at=lambda step: 60 - step, rho_at=lambda step: 0.01, k=20)
    history = model.fit(x, y, batch_size=4, epochs=3, verbose=0, validation_data=(x, y), callbacks=[Watch(), updates])
    assert counts["test"] == [20, 20, 20]
    assert min(counts["train"]) > 100
    assert history.history["k"] == [58, 56, 54]
    assert history.history["nonzero"] == [58, 56, 54]


def test_the_best_of_the_epochs_that_compete_is_kept(small_net, tmp_path):
    best = callbacks.KeepBest(small_net, tmp_path / "best.weights.h5", "robust_accuracy", first_epoch=1)
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
        history = callbacks.History(path, "dense", first)
        for epoch, value in enumerate(values, first):
            history.on_epoch_begin(epoch)
            history.on_epoch_end(epoch, {"loss": value})
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["loss"]) for row in rows] == [("0", "1.0"), ("1", "2.0"), ("2", "4.0"), ("3", "5.0")]


def test_a_loss_that_is_not_finite_stops_the_run(small_net, small_images):
    x, y = small_images
    small_net.get_layer("logits").bias.assign([np.nan, 0, 0])
    model = RobustModel(small_net, eps=0.1, steps=1)
    model.compile("adam")
    with pytest.raises(callbacks.TrainingFailed, match="the loss became nan at step 1"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.StopOnNan()])
