"""FAB (Croce and Hein, arXiv 1907.02044), L-inf: small steps to the linearised decision boundary, biased towards x."""

import functools

import numpy as np
import tensorflow as tf

from robust_tf.attacks.apgd import TARGETS, wrong_classes
from robust_tf.attacks.loops import repeated
from robust_tf.attacks.seeds import derived, each, rows

BIAS_MAX = 0.1  # largest beta, the weight of the step from x
OVERSHOOT = 1.05  # factor on the step to the linearised boundary
BACKWARD = 0.9  # fraction of the distance to x that remains after a misclassified point


def fab(logits_fn, x, y, *, eps, steps=100, restarts=1, seed=0):
    """Searches for the nearest misclassified image; succeeds if it is within eps.

    With d_l = z_l - z_y and its gradient g_l, the nearest boundary is that of the class with the smallest
    |d_l| / ||g_l||_1. Both the point and x are projected onto it, within [0, 1], to x_p and o_p; the next point is

        (1 - beta) (point + 1.05 (x_p - point)) + beta (x + 1.05 (o_p - x)),   beta = min(a / (a + a_0), 0.1)

    with a and a_0 the distances of the two projections. A misclassified point is moved back to
    0.9 of its distance to x.

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K].
      x: images [B, H, W, C] float32 in [0, 1].
      y: labels [B].
      eps: radius in pixels of [0, 1].
      steps: gradient steps of a restart.
      restarts: number of restarts; the first starts at x, others at x + 0.5 min(eps, best distance) t / max|t|, t
        uniform. An image that is misclassified within eps is not attacked again.
      seed: one integer or several, or a seed for each image, int32 [B, 2] (`attacks.seeds`).

    Returns:
      x_adv [B, H, W, C]: the nearest misclassified image if it is within eps, else x.
    """
    return _attack(logits_fn, x, y, [(restart, None) for restart in range(restarts)], eps, steps, seed)


def fab_t(logits_fn, x, y, *, eps, steps=100, restarts=1, seed=0):
    """As `fab`, towards one class at a time: the 9 wrong classes of largest logits at x."""
    targets = min(TARGETS, logits_fn(x[:1]).shape[-1] - 1)
    attempts = [(restart, rank) for restart in range(restarts) for rank in range(targets)]
    return _attack(logits_fn, x, y, attempts, eps, steps, seed)


def _attack(logits_fn, x, y, attempts, eps, steps, seed):
    x, y = tf.convert_to_tensor(x), tf.cast(y, tf.int32)
    if eps == 0:
        return x
    z = logits_fn(x)
    targets = wrong_classes(z, y)
    x_adv, eps, seeds = x, tf.constant(eps, tf.float32), rows(seed, x)
    nearest = tf.fill(y.shape, np.inf)  # distance of the nearest misclassified image so far
    left = tf.where(tf.argmax(z, -1, tf.int32) == y)[:, 0]
    for restart, rank in attempts:
        if not len(left):
            break
        numbers = (restart, 0 if rank is None else 1 + rank)
        drawn = derived(seeds[left.numpy()], *numbers)
        given = (tf.gather(part, left) for part in (x, y, targets[:, rank or 0], nearest))
        search = _compiled(logits_fn, steps, rank is not None)
        found, distance = search(*given, eps, tf.constant(restart > 0), tf.constant(drawn))
        within = distance <= eps
        hit = tf.boolean_mask(left, within)[:, None]
        x_adv = tf.tensor_scatter_nd_update(x_adv, hit, tf.boolean_mask(found, within))
        nearest = tf.tensor_scatter_nd_min(nearest, left[:, None], distance)
        left = tf.boolean_mask(left, ~within)
    return x_adv


def onto_hyperplane(x, w, c):
    """argmin_z ||z - x||_inf  subject to  <w, z - x> = c  and  0 <= z <= 1, for each image.

    Every coordinate moves by min(t, room_i) in the direction sign(c) sign(w_i), where room_i is its distance to the
    border of [0, 1]; t solves sum_i |w_i| min(t, room_i) = |c|. The left side is concave and piecewise linear, so that
    Newton's method from |c| / ||w||_1 increases to the solution, in at most one step per linear piece. It ends where no
    image's t rises by more than rounding, after 12 steps at most. If even t = 1 is too small, the corner of the box
    nearest to the hyperplane is returned.

    Args:
      x: images [B, H, W, C] in [0, 1].
      w: normal vectors, shaped like x.
      c: offsets of the hyperplanes, [B].
    """
    c = c[:, None, None, None]
    direction = tf.sign(c) * tf.sign(w)
    room = tf.where(direction > 0, 1 - x, tf.where(direction < 0, x, 0.0))
    weight, axes = tf.abs(w), (1, 2, 3)
    t = tf.abs(c) / (tf.reduce_sum(weight, axes, keepdims=True) + 1e-12)

    def newton(t, rises):
        reached = tf.reduce_sum(weight * tf.minimum(t, room), axes, keepdims=True)
        slope = tf.reduce_sum(tf.where(room > t, weight, 0.0), axes, keepdims=True)
        new = tf.where(slope > 0, t + tf.maximum(tf.abs(c) - reached, 0.0) / (slope + 1e-12), 1.0)
        new = tf.minimum(new, 1.0)
        return new, tf.reduce_any(new > t * (1 + 1e-6))

    t, _ = tf.while_loop(lambda t, rises: rises, newton, (t, tf.constant(True)), maximum_iterations=12)
    return x + direction * tf.minimum(t, room)


@functools.lru_cache(maxsize=8)
def _compiled(logits_fn, steps, targeted):
    """One attempt as a graph: (x, y, target, nearest, eps, random_start, seeds) -> the image, its distance [B]."""

    def boundary(point, y, target):
        """d_l [B] and its gradient for the nearest linearised boundary; whether the point is misclassified [B]."""
        with tf.GradientTape(persistent=not targeted, watch_accessed_variables=False) as tape:
            tape.watch(point)
            z = logits_fn(point)
            own = tf.gather(z, y, batch_dims=1)
            if targeted:
                difference = tf.gather(z, target, batch_dims=1) - own
            else:
                differences = tf.unstack(z - own[:, None], axis=1)  # K of [B]
        broken = tf.argmax(z, -1, tf.int32) != y
        if targeted:
            return difference, tape.gradient(difference, point, unconnected_gradients="zero"), broken
        gradients = tf.stack(
            [tape.gradient(difference, point, unconnected_gradients="zero") for difference in differences], 1
        )  # [B, K, H, W, C]
        d = tf.stack(differences, 1)  # [B, K]
        distance = tf.abs(d) / (tf.reduce_sum(tf.abs(gradients), (2, 3, 4)) + 1e-12)
        chosen = tf.argmin(tf.where(tf.one_hot(y, z.shape[-1]) > 0, np.inf, distance), -1)
        return tf.gather(d, chosen, batch_dims=1), tf.gather(gradients, chosen, batch_dims=1), broken

    def largest(delta):
        return tf.reduce_max(tf.abs(delta), (1, 2, 3))

    def search(x, y, target, nearest, eps, random_start, seeds):
        wide = lambda a: a[:, None, None, None]
        t = each(lambda seed: tf.random.stateless_uniform(tf.shape(x)[1:], seed, -1.0, 1.0), seeds)
        moved = x + wide(0.5 * tf.minimum(eps, nearest) / largest(t)) * t
        start = tf.clip_by_value(tf.where(random_start, moved, x), 0.0, 1.0)

        def step(i, point, best, distance):
            d, gradient, _ = boundary(point, y, target)
            # <g, z - point> = -d on the boundary, so <g, z - x> = -d + <g, point - x>.
            shift = tf.reduce_sum(gradient * (point - x), (1, 2, 3))
            to_point = onto_hyperplane(point, gradient, -d) - point
            to_x = onto_hyperplane(x, gradient, shift - d) - x
            a, a_0 = largest(to_point), largest(to_x)
            beta = wide(tf.minimum(a / (a + a_0 + 1e-12), BIAS_MAX))
            point = (1 - beta) * (point + OVERSHOOT * to_point) + beta * (x + OVERSHOOT * to_x)
            point = tf.clip_by_value(point, 0.0, 1.0)
            broken = tf.argmax(logits_fn(point), -1, tf.int32) != y
            better = broken & (largest(point - x) < distance)
            best = tf.where(wide(better), point, best)
            distance = tf.where(better, largest(point - x), distance)
            return i + 1, tf.where(wide(broken), x + BACKWARD * (point - x), point), best, distance

        none = tf.fill(tf.shape(nearest), np.inf)
        return repeated(lambda i, *_: i < steps, step, (0, start, x, none))[2:]

    image, label, margins = tf.TensorSpec((None,) * 4), tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None,))
    flag, pair = tf.TensorSpec((), tf.bool), tf.TensorSpec((None, 2), tf.int32)
    return tf.function(search, input_signature=(image, label, label, margins, tf.TensorSpec(()), flag, pair))
