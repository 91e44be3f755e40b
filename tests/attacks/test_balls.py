"""Norm balls: projections against their definition, ascent directions against the best linear step."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from robust_tf.attacks.balls import BALLS

ORDERS = {"linf": np.inf, "l2": 2}
arrays = hnp.arrays(np.float32, (3, 2, 2, 1), elements=st.floats(-4, 4, width=32, allow_subnormal=False))


def norms(delta, name):
    return np.linalg.norm(np.reshape(delta, (len(delta), -1)), ORDERS[name], axis=1)


@pytest.mark.parametrize("name", BALLS)
@settings(deadline=None)
@given(delta=arrays, eps=st.floats(0.0078125, 3, width=32))
def test_projection_is_the_nearest_point(name, delta, eps):
    project = BALLS[name].project
    inside = project(tf.constant(delta), eps).numpy()
    assert (norms(inside, name) <= eps * (1 + 1e-5)).all()
    np.testing.assert_allclose(project(tf.constant(inside), eps), inside, rtol=1e-5, atol=1e-7)
    # Nearest: <delta - inside, other - inside> <= 0 for every other point of the ball.
    for seed in range(5):
        other = BALLS[name].uniform(delta.shape, eps, (seed, 0)).numpy()
        products = ((delta - inside) * (other - inside)).reshape(3, -1).sum(1)
        assert (products <= 1e-3).all()


@pytest.mark.parametrize("name", BALLS)
def test_ascent_is_the_best_step_of_unit_norm(name):
    grad = np.random.default_rng(0).normal(size=(4, 3, 3, 2)).astype(np.float32)
    step = BALLS[name].ascend(tf.constant(grad)).numpy()
    np.testing.assert_allclose(norms(step, name), 1, rtol=1e-5)
    dual = {"linf": np.abs(grad).reshape(4, -1).sum(1), "l2": norms(grad, "l2")}[name]
    np.testing.assert_allclose((grad * step).reshape(4, -1).sum(1), dual, rtol=1e-5)
    assert np.isfinite(BALLS[name].ascend(tf.zeros((1, 2, 2, 1)))).all()


@pytest.mark.parametrize("name", BALLS)
def test_uniform_fills_the_ball(name):
    draws = BALLS[name].uniform((20000, 2, 1, 1), 0.5, (0, 1)).numpy()
    radii = norms(draws, name)
    assert radii.max() <= 0.5 * (1 + 1e-5)
    np.testing.assert_allclose(draws.mean(0), 0, atol=0.01)  # on all sides
    # In two dimensions a quarter of either ball lies within half of its radius.
    assert np.mean(radii < 0.25) == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(draws, BALLS[name].uniform((20000, 2, 1, 1), 0.5, (0, 1)).numpy())
