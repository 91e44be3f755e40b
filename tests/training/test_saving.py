"""RobustModel is saved and read back in Keras' safe mode, and trains on as if it had never been saved."""

import warnings

import numpy as np
import pytest
import tf_keras as keras

from robust_tf.compression import masks
from robust_tf.compression.admm import Admm
from robust_tf.models.kernels import kernels
from robust_tf.projections.irregular import irregular
from robust_tf.refusal import Refusal
from robust_tf.training.constraints import WeightConstraint, from_admm
from robust_tf.training.losses import CrossEntropy
from robust_tf.training.model import RobustModel


@pytest.mark.parametrize("averages", [False, True])
def test_a_loaded_model_trains_on(small_net, small_images, tmp_path, averages):
    x, y = small_images
    model = RobustModel(small_net, eps=0.1, steps=2, loss="trades", beta=2.0, seed=3)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, use_ema=averages), loss=CrossEntropy(0.1))
    model.train_on_batch(x, y)
    model.eps.assign(0.05)  # as a schedule does
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.get_config() == {**model.get_config(), "net": loaded.get_config()["net"]}
    assert (loaded.steps_taken, float(loaded.eps.numpy())) == (1, np.float32(0.05))
    assert loaded.train_on_batch(x, y) == model.train_on_batch(x, y)
    for ours, theirs in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(ours, theirs)


def test_a_checkpoint_of_the_best_model_in_keras_format(small_net, small_images, tmp_path):
    x, y = small_images
    path = str(tmp_path / "best.keras")
    best = keras.callbacks.ModelCheckpoint(path, monitor="val_robust_accuracy", mode="max", save_best_only=True)
    stop = keras.callbacks.EarlyStopping("val_loss", min_delta=100, patience=2, restore_best_weights=True)
    model = RobustModel(small_net, eps=0.01, steps=1)
    model.compile()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # Keras warns where a model has no weights yet
        history = model.fit(x, y, epochs=9, validation_data=(x, y), callbacks=[best, stop], verbose=0).history
    assert len(history["loss"]) == 3  # of 9: it stops after two epochs without the improvement that is asked for
    loaded = keras.models.load_model(path)
    measured = loaded.evaluate(x, y, verbose=0, return_dict=True)
    assert measured["robust_accuracy"] == pytest.approx(max(history["val_robust_accuracy"]))


def test_a_constraint_is_left_out_and_wrappers_are_refused(small_net, small_images, tmp_path):
    admm = Admm(kernels(small_net), irregular, rho=0.1)
    model = RobustModel(small_net, eps=0.1, constraint=from_admm(admm))
    model.compile()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(small_images[0]), model(small_images[0]))
    assert float(loaded.constraint.penalty()) == 0

    twin = masks.wrap(small_net)
    masked = RobustModel(twin, eps=0.1, constraint=WeightConstraint(trained=twin, attacked=small_net))
    with pytest.raises(Refusal, match="expected a net of plain layers to save; got masks' wrappers"):
        masked.save(tmp_path / "masked.keras")
    for name in ("model.h5", "model"):
        with pytest.raises(Refusal, match=f"expected a path NAME.keras to save to; got .*{name}"):
            masked.save(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.keras"]
