"""Auto-PGD (Croce and Hein, arXiv 2003.01690): projected gradient ascent with momentum that tunes its own step size."""

import functools

import numpy as np
import tensorflow as tf

from robust_tf.refusal import Refusal

TARGETS = 9  # of the targeted form: the best wrong classes


def cross_entropy(z, y, target):
    """CE of each image, [B]."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(y, z)


def dlr(z, y, target):
    """-(z_y - max_{i != y} z_i) / (z_(1) - z_(3) + 1e-12), the difference of logits ratio, [B]."""
    best = tf.math.top_k(z, 3).values  # [B, 3]
    own = tf.gather(z, y, batch_dims=1)
    other = tf.where(tf.equal(tf.argmax(z, -1, tf.int32), y), best[:, 1], best[:, 0])
    return -(own - other) / (best[:, 0] - best[:, 2] + 1e-12)


def targeted_dlr(z, y, target):
    """-(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2 + 1e-12), [B]."""
    best = tf.math.top_k(z, 4).values
    own, other = (tf.gather(z, index, batch_dims=1) for index in (y, target))
    return -(own - other) / (best[:, 0] - (best[:, 2] + best[:, 3]) / 2 + 1e-12)


def apgd_ce(logits_fn, x, y, *, eps, steps=100, restarts=1, seed=0):
    """Auto-PGD on the cross-entropy in the L-inf ball, the best of `restarts` runs for each image.

        z = Pi(x_k + alpha sign(grad));   x_{k+1} = Pi(x_k + 0.75 (z - x_k) + 0.25 (x_k - x_{k-1})),   x_1 = z

    from x + eps t / max|t| with t uniform, alpha_0 = 2 eps. At its checkpoints an image's alpha is halved, and it goes
    on from its best point, if fewer than 75 % of the steps since the last one raised the loss, or if alpha stayed and
    the best loss did too.

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K].
      x: images [B, H, W, C] float32 in [0, 1].
      y: labels [B].
      eps: radius in pixels of [0, 1].
      steps: gradient steps of a run.
      restarts: runs; an image that one breaks is not attacked again.
      seed: one integer or several.

    Returns:
      x_adv [B, H, W, C]: misclassified where one was found, else of the largest loss; x where eps = 0.
    """
    return _runs(logits_fn, x, y, cross_entropy, [(restart, 0) for restart in range(restarts)], eps, steps, seed)


def apgd_dlr(logits_fn, x, y, *, eps, steps=100, restarts=1, seed=0):
    """As `apgd_ce` on the difference of logits ratio, whose gradient does not vanish for confident nets.

    Raises Refusal below 3 classes.
    """
    _needs_classes("apgd_dlr", logits_fn, x, 3)
    return _runs(logits_fn, x, y, dlr, [(restart, 0) for restart in range(restarts)], eps, steps, seed)


def apgd_t(logits_fn, x, y, *, eps, steps=100, restarts=1, seed=0):
    """As `apgd_ce` on the targeted ratio, a run for each of the 9 wrong classes of largest logits at x.

    Raises Refusal below 4 classes.
    """
    classes = _needs_classes("apgd_t", logits_fn, x, 4)
    runs = [(restart, rank) for restart in range(restarts) for rank in range(min(TARGETS, classes - 1))]
    return _runs(logits_fn, x, y, targeted_dlr, runs, eps, steps, seed)


def wrong_classes(z, y):
    """Classes but y by falling logit, [B, K - 1]."""
    others = z - 1e9 * tf.one_hot(y, z.shape[-1])
    return tf.argsort(others, direction="DESCENDING", stable=True)[:, :-1]


def _needs_classes(name, logits_fn, x, least):
    classes = logits_fn(x[:1]).shape[-1]
    if classes < least:
        raise Refusal(f"{name}: expected at least {least} classes, which its loss ranks; got {classes}")
    return classes


def _runs(logits_fn, x, y, loss, runs, eps, steps, seed):
    """One run after the other, given as (restart, rank of the target), on the images that are still to break."""
    x, y = tf.convert_to_tensor(x), tf.cast(y, tf.int32)
    if eps == 0:
        return x
    run = _compiled(logits_fn, loss, steps)
    z = logits_fn(x)
    targets = wrong_classes(z, y)
    x_adv = x
    left = tf.where(tf.argmax(z, -1, tf.int32) == y)[:, 0]
    for numbers in runs:
        if not len(left):
            break
        seeds = np.random.SeedSequence([*np.atleast_1d(seed), *numbers]).generate_state(2).astype(np.int32)
        given = (tf.gather(part, left) for part in (x, y, targets[:, numbers[1]]))
        found, broken = run(*given, tf.constant(eps, tf.float32), tf.constant(seeds))
        x_adv = tf.tensor_scatter_nd_update(x_adv, left[:, None], found)
        left = tf.boolean_mask(left, ~broken)
    return x_adv


def checkpoints(steps):
    """The steps at which alpha may be halved: at 0.22 n, then after gaps that shrink by 0.03 n down to 0.06 n."""
    gap, least, shrink = (max(int(share * steps), 1) for share in (0.22, 0.06, 0.03))
    at, step = [], gap
    while step <= steps:
        at.append(step)
        gap = max(gap - shrink, least)
        step += gap
    return at


@functools.lru_cache(maxsize=8)
def _compiled(logits_fn, loss_of, steps):
    """One run as a graph: (x, y, target, eps, seed [2]) -> x_adv, whether it is misclassified [B]."""
    at = checkpoints(steps)
    gaps = dict(zip(at, np.diff([0, *at])))
    # For each step: the steps since the last checkpoint where it is one, else 0.
    gap_at = tf.constant([0] + [int(gaps.get(step, 0)) for step in range(1, steps + 1)])

    def measure(x_adv, y, target):
        """Loss [B], its gradient, and whether each image is misclassified [B]."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x_adv)
            z = logits_fn(x_adv)
            loss = loss_of(z, y, target)
            total = tf.reduce_sum(loss)
        return loss, tape.gradient(total, x_adv, unconnected_gradients="zero"), tf.argmax(z, -1, tf.int32) != y

    def run(x, y, target, eps, seed):
        pick = lambda which, a, b: tf.where(which[:, None, None, None], a, b)  # noqa: E731
        low, high = tf.maximum(x - eps, 0.0), tf.minimum(x + eps, 1.0)
        t = tf.random.stateless_uniform(tf.shape(x), seed, -1.0, 1.0)
        start = tf.clip_by_value(x + eps * t / tf.reduce_max(tf.abs(t), (1, 2, 3), keepdims=True), low, high)
        loss, grad, broken = measure(start, y, target)
        zeros = tf.zeros_like(loss)

        def step(i, now, before, grad, loss, alpha, rises, stayed, best, best_loss, best_grad, best_then, adv, broken):
            """i steps are done: `now` is x_k, `before` x_{k-1}."""
            z = tf.clip_by_value(now + alpha[:, None, None, None] * tf.sign(grad), low, high)
            moved = tf.clip_by_value(now + 0.75 * (z - now) + 0.25 * (now - before), low, high)
            new = tf.where(i == 0, z, moved)
            new_loss, new_grad, wrong = measure(new, y, target)
            rises += tf.cast(new_loss > loss, tf.float32)
            better = new_loss > best_loss
            best, best_grad = pick(better, new, best), pick(better, new_grad, best_grad)
            best_loss = tf.maximum(best_loss, new_loss)
            adv = pick(wrong, new, adv)
            broken |= wrong

            gap = gap_at[i + 1]
            checks = gap > 0
            stuck = stayed & (best_loss <= best_then)
            halves = checks & ((rises < 0.75 * tf.cast(gap, tf.float32)) | stuck)
            alpha = tf.where(halves, alpha / 2, alpha)
            stayed = tf.where(checks, ~halves, stayed)
            best_then = tf.where(checks, best_loss, best_then)
            rises = tf.where(checks, zeros, rises)
            return (
                i + 1, pick(halves, best, new), now, pick(halves, best_grad, new_grad), new_loss, alpha, rises, stayed,
                best, best_loss, best_grad, best_then, adv, broken,
            )  # fmt: skip

        state = (
            0, start, start, grad, loss, zeros + 2 * eps, zeros, tf.zeros_like(broken),
            start, loss, grad, loss, start, broken,
        )  # fmt: skip
        going = lambda i, *state: (i < steps) & ~tf.reduce_all(state[-1])  # noqa: E731
        *_, best, _, _, _, adv, broken = tf.while_loop(going, step, state)
        return pick(broken, adv, best), broken

    image = tf.TensorSpec((None, None, None, None))
    label, scalar, pair = tf.TensorSpec((None,), tf.int32), tf.TensorSpec(()), tf.TensorSpec((2,), tf.int32)
    return tf.function(run, input_signature=(image, label, label, scalar, pair))
