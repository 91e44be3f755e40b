"""ADMM: one boundary by hand, the penalty's gradient, and convergence where the answer is known."""

import numpy as np
import pytest
import tensorflow as tf

from robust_tf.compression.admm import Admm
from robust_tf.projections.irregular import irregular


def admm_of(values, rho=0.5):
    W = [tf.Variable([values[:2]], dtype=tf.float32), tf.Variable([values[2:]], dtype=tf.float32)]
    return Admm(W, irregular, rho)


def flat(tensors):
    return np.concatenate([np.ravel(t) for t in tensors])


def test_start():
    admm = admm_of([1.0, -2.0, 3.0, 0.5])
    admm.start(2)
    np.testing.assert_array_equal(flat(admm.Z), [0, -2, 3, 0])
    np.testing.assert_array_equal(flat(admm.U), [0, 0, 0, 0])
    # rho/2 * (1^2 + 0.5^2)
    assert float(admm.penalty()) == pytest.approx(0.5 / 2 * 1.25)


def test_only_the_kernels_are_trained():
    admm = admm_of([1.0, -2.0, 3.0, 0.5])
    assert {w.ref() for w in admm.trainable_variables} == {w.ref() for w in admm.W}


def test_what_ships_is_the_projection_of_w_plus_u():
    """The dual decides what W alone would not: of W + U = [2.5, 2, 0.4, 0.1] the two largest, of W the others."""
    admm = admm_of([0.5, 1.0, 3.0, 2.0])
    for u, value in zip(admm.U, ([[2.0, 1.0]], [[-2.6, -1.9]])):
        u.assign(value)
    admm.project_hard(2)
    np.testing.assert_allclose(flat(admm.W), [2.5, 2, 0, 0], atol=1e-6)


def test_a_boundary_by_hand():
    admm = admm_of([1.0, -2.0, 3.0, 0.5])
    admm.start(2)
    for w, value in zip(admm.W, ([[1.6, -1.0]], [[2.0, 0.5]])):
        w.assign(value)
    report = admm.update(2, 1.0)
    # U = (0 + W - Z) * rho_old / rho_new = ([1.6, 1, -1, 0.5]) / 2; W + U = [2.4, -0.5, 1.5, 0.75]
    np.testing.assert_allclose(flat(admm.U), [0.8, 0.5, -0.5, 0.25])
    np.testing.assert_allclose(flat(admm.Z), [2.4, 0, 1.5, 0])
    assert float(admm.rho) == 1
    assert int(report["nonzero"]) == 2
    assert float(report["churn"]) == pytest.approx(0.5)
    assert float(report["dual_residual"]) == pytest.approx(np.sqrt(2.4**2 + 2**2 + 1.5**2), rel=1e-5)
    expected = np.linalg.norm([-0.8, -1, 0.5, 0.5]) / np.linalg.norm([1.6, -1, 2, 0.5])
    assert float(report["primal_residual"]) == pytest.approx(expected, rel=1e-5)


def test_a_new_rho_keeps_the_unscaled_dual():
    for rho in (0.5, 5.0):
        admm = admm_of([1.0, -2.0, 3.0, 0.5], rho=0.5)
        admm.start(4)
        for u in admm.U:
            u.assign(tf.ones_like(u))
        admm.update(4, rho)
        np.testing.assert_allclose(flat(admm.U) * rho, 0.5, rtol=1e-6)


def test_penalty_gradient_by_finite_differences():
    admm = admm_of([1.0, -2.0, 3.0, 0.5])
    admm.start(2)
    admm.U[0].assign([[0.3, -0.1]])
    with tf.GradientTape() as tape:
        penalty = admm.penalty()
    gradient = flat(tape.gradient(penalty, admm.W))
    h, i = 1e-2, 0
    for w in admm.W:
        for j in range(2):
            shift = np.eye(2, dtype=np.float32)[j][None] * h
            w.assign_add(shift)
            up = float(admm.penalty())
            w.assign_sub(2 * shift)
            down = float(admm.penalty())
            w.assign_add(shift)
            assert gradient[i] == pytest.approx((up - down) / (2 * h), abs=1e-3)
            i += 1


def test_it_solves_sparse_least_squares():
    """min ||w - t||^2 with 2 of 4 weights: the two largest of t. W's step is exact: 2 (w - t) + rho (w - z + u) = 0."""
    t = np.array([3.0, -0.4, 0.2, -2.0], np.float32)
    admm = admm_of([0.1, 0.2, -0.1, 0.1], rho=0.1)
    admm.start(2)
    for boundary in range(60):
        rho = float(admm.rho)
        w = (2 * t + rho * (flat(admm.Z) - flat(admm.U))) / (2 + rho)
        admm.W[0].assign(w[None, :2])
        admm.W[1].assign(w[None, 2:])
        report = admm.update(2, 0.1 * 1.1**boundary)
    assert float(report["primal_residual"]) < 1e-2
    admm.project_hard(2)
    np.testing.assert_allclose(flat(admm.W), [3, 0, 0, -2], atol=0.02)


def test_an_update_after_every_step_is_the_literal_algorithm():
    """Algorithm 1 of the thesis: Z = Pi(W + U); a step on f(W) + rho/2 ||W - Z + U||^2; U += W - Z."""
    target, rho, rate, k = np.array([3.0, -2.0, 1.0, 0.5, -0.1], np.float32), 0.4, 0.2, 2

    def project(W):
        return irregular([tf.constant(W, tf.float32)], k)[0].numpy()

    W, U = np.zeros(5, np.float32) + 0.3 * target, np.zeros(5, np.float32)
    variable = tf.Variable(W)
    admm = Admm([variable], irregular, rho)
    admm.start(k)
    for _ in range(12):
        Z = project(W + U)
        W = W - rate * (W - target + rho * (W - Z + U))
        U = U + W - Z
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((variable - target) ** 2) / 2 + admm.penalty()
        variable.assign_sub(rate * tape.gradient(loss, variable))
        admm.update(k, rho)
        np.testing.assert_allclose(variable, W, atol=1e-5)
        np.testing.assert_allclose(admm.U[0], U, atol=1e-5)


def test_rho_never_falls_and_k_never_rises():
    """A continued run has a slower schedule; a smaller rho would blow U up."""
    admm = admm_of([1.0, -2.0, 3.0, 0.5], rho=0.5)
    admm.start(2)
    report = admm.update(3, 0.01)
    assert (int(report["k"]), float(report["rho"])) == (2, 0.5)
    assert int(report["nonzero"]) == 2
    assert (int(admm.k), float(admm.rho)) == (2, 0.5)
