"""Masks: zeros stay zeros through training, and the masked twin shares the net's weights."""

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from robust_tf.compression import masks
from robust_tf.models.kernels import kernels
from robust_tf.projections.irregular import irregular
from robust_tf.training.model import RobustModel


def test_training_keeps_the_zeros_and_moves_the_rest(small_net, small_images):
    x, y = small_images
    for w, z in zip(kernels(small_net), irregular(kernels(small_net), 40)):
        w.assign(z)
    before = [w.numpy() for w in kernels(small_net)]
    twin = masks.wrap(small_net)
    model = RobustModel(twin, eps=0.1, steps=2)
    model.compile("adam")
    model.fit(x, y, epochs=3, batch_size=4, verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])
    masks.apply(twin)
    after = [w.numpy() for w in kernels(small_net)]
    for old, new in zip(before, after):
        np.testing.assert_array_equal(old == 0, new == 0)
        assert (old[old != 0] != new[old != 0]).mean() > 0.9
    np.testing.assert_allclose(small_net(x), twin(x), atol=1e-6)


def test_depthwise_kernels_are_masked_too():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    net = keras.Sequential([keras.Input((6, 5, 2)), layers.DepthwiseConv2D(3, name="depthwise"), layers.Flatten(),
                            layers.Dense(3)])  # fmt: skip
    for w, z in zip(kernels(net), irregular(kernels(net), 20)):
        w.assign(z)
    zeros = [w.numpy() == 0 for w in kernels(net)]
    assert zeros[0].any()
    twin = masks.wrap(net)
    model = RobustModel(twin, eps=0.1, steps=1)
    model.compile("adam")
    x = np.random.default_rng(0).random((8, 6, 5, 2), np.float32)
    callbacks = [tfmot.sparsity.keras.UpdatePruningStep()]
    model.fit(x, np.arange(8) % 3, epochs=2, verbose=0, callbacks=callbacks)
    masks.apply(twin)
    for w, zero in zip(kernels(net), zeros):
        np.testing.assert_array_equal(w.numpy() == 0, zero)
