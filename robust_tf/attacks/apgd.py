"""Auto-PGD (Croce and Hein, arXiv 2003.01690): projected gradient ascent with momentum that adapts its step size."""

import functools

import numpy as np
import tensorflow as tf

from robust_tf.attacks import ATTACKS
from robust_tf.attacks.loops import repeated
from robust_tf.attacks.margin import margin
from robust_tf.attacks.seeds import derived, each, rows

TARGETS = 9  # target classes of a targeted attack: the wrong classes of largest logits


def cross_entropy(z, y, target):
    """Cross-entropy of each image, [B]."""
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


def other_margin(z, y, target):
    """max_{i != y} z_i - z_y, [B]."""
    return -margin(z, y)


def target_margin(z, y, target):
    """z_t - z_y, [B]."""
    own, other = (tf.gather(z, index, batch_dims=1) for index in (y, target))
    return other - own


def apgd_ce(logits_fn, x, y, *, eps, steps=100, restarts=1, seed=0):
    """Auto-PGD on the cross-entropy in the L-inf ball, the best of all restarts for each image.

        z = Pi(x_k + alpha sign(grad));   x_{k+1} = Pi(x_k + 0.75 (z - x_k) + 0.25 (x_k - x_{k-1})),   x_1 = z

    The start is x + eps t / max|t| with t uniform; alpha_0 = 2 eps. At a checkpoint of the step size an image's alpha
    is halved and it continues from its best point if fewer than 75 % of the gradient steps since the last checkpoint
    raised the loss, or if alpha was not halved at the last checkpoint and the best loss has not increased since.

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K].
      x: images [B, H, W, C] float32 in [0, 1].
      y: labels [B].
      eps: radius in pixels of [0, 1].
      steps: gradient steps of a restart.
      restarts: number of restarts; an image that is misclassified is not attacked again.
      seed: one integer or several, or a seed for each image, int32 [B, 2] (`attacks.seeds`).

    Returns:
      x_adv [B, H, W, C]: a misclassified image if one was found, else that of the largest loss; x if eps = 0.
    """
    return _attack(logits_fn, x, y, cross_entropy, [(restart, 0) for restart in range(restarts)], eps, steps, seed)


def apgd_dlr(logits_fn, x, y, *, eps, steps=100, restarts=1, seed=0):
    """As `apgd_ce` on the difference of logits ratio, whose gradient does not vanish for confident nets.

    Of two classes, where the ratio is not defined, on the margin max_{i != y} z_i - z_y.
    """
    loss = other_margin if _classes(logits_fn, x) < ATTACKS["apgd_dlr"].least_classes else dlr
    return _attack(logits_fn, x, y, loss, [(restart, 0) for restart in range(restarts)], eps, steps, seed)


def apgd_t(logits_fn, x, y, *, eps, steps=100, restarts=1, seed=0):
    """As `apgd_ce` on the targeted ratio, once for each of the 9 wrong classes of largest logits at x.

    Of two or three classes, where the ratio is not defined, on the margin z_t - z_y.
    """
    classes = _classes(logits_fn, x)
    loss = target_margin if classes < ATTACKS["apgd_t"].least_classes else targeted_dlr
    attempts = [(restart, rank) for restart in range(restarts) for rank in range(min(TARGETS, classes - 1))]
    return _attack(logits_fn, x, y, loss, attempts, eps, steps, seed)


def wrong_classes(z, y):
    """All classes but y by decreasing logit, [B, K - 1]."""
    others = tf.where(tf.one_hot(y, z.shape[-1]) > 0, -np.inf, z)
    return tf.argsort(others, direction="DESCENDING", stable=True)[:, :-1]


def _classes(logits_fn, x):
    return logits_fn(x[:1]).shape[-1]


def _attack(logits_fn, x, y, loss, attempts, eps, steps, seed):
    """Makes attempts, (restart, rank of the target class), one after the other on the images not yet misclassified."""
    x, y = tf.convert_to_tensor(x), tf.cast(y, tf.int32)
    if eps == 0:
        return x
    ascend = _compiled(logits_fn, loss, steps)
    z = logits_fn(x)
    targets = wrong_classes(z, y)
    x_adv, seeds = x, rows(seed, x)
    left = tf.where(tf.argmax(z, -1, tf.int32) == y)[:, 0]
    for restart, rank in attempts:
        if not len(left):
            break
        given = (tf.gather(part, left) for part in (x, y, targets[:, rank]))
        drawn = derived(seeds[left.numpy()], restart, rank)
        found, broken = ascend(*given, tf.constant(eps, tf.float32), tf.constant(drawn))
        x_adv = tf.tensor_scatter_nd_update(x_adv, left[:, None], found)
        left = tf.boolean_mask(left, ~broken)
    return x_adv


def checkpoints(steps):
    """The gradient steps at which alpha may be halved: 0.22 n, then gaps that shrink by 0.03 n down to 0.06 n."""
    gap, least, shrink = (max(int(share * steps), 1) for share in (0.22, 0.06, 0.03))
    at, step = [], gap
    while step <= steps:
        at.append(step)
        gap = max(gap - shrink, least)
        step += gap
    return at


@functools.lru_cache(maxsize=8)
def _compiled(logits_fn, loss_of, steps):
    """One attempt as a graph: (x, y, target, eps, seeds [B, 2]) -> x_adv, whether it is misclassified [B]."""
    at = checkpoints(steps)
    gaps = dict(zip(at, np.diff([0, *at])))
    # For each gradient step: the steps since the last checkpoint if it is a checkpoint, else 0.
    gap_at = tf.constant([0] + [int(gaps.get(step, 0)) for step in range(1, steps + 1)])

    def measure(x_adv, y, target):
        """Loss [B], its gradient, and whether each image is misclassified [B]."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x_adv)
            z = logits_fn(x_adv)
            loss = loss_of(z, y, target)
            total = tf.reduce_sum(loss)
        return loss, tape.gradient(total, x_adv, unconnected_gradients="zero"), tf.argmax(z, -1, tf.int32) != y

    def ascend(x, y, target, eps, seeds):
        pick = lambda which, a, b: tf.where(which[:, None, None, None], a, b)
        low, high = tf.maximum(x - eps, 0.0), tf.minimum(x + eps, 1.0)
        t = each(lambda seed: tf.random.stateless_uniform(tf.shape(x)[1:], seed, -1.0, 1.0), seeds)
        start = tf.clip_by_value(x + eps * t / tf.reduce_max(tf.abs(t), (1, 2, 3), keepdims=True), low, high)
        loss, grad, broken = measure(start, y, target)
        zeros = tf.zeros_like(loss)

        def step(i, now, before, grad, loss, alpha, rises, stayed, best, best_loss, best_grad, best_then, adv, broken):
            """After i gradient steps `now` is x_k, `before` is x_{k-1}."""
            z = tf.clip_by_value(now + alpha[:, None, None, None] * tf.sign(grad), low, high)
            moved = tf.clip_by_value(now + 0.75 * (z - now) + 0.25 * (now - before), low, high)
            new = tf.where(i == 0, z, moved)
            new_loss, new_grad, wrong = measure(new, y, target)
            rises += tf.cast(new_loss > loss, tf.float32)
            better = new_loss > best_loss
            best, best_grad = pick(better, new, best), pick(better, new_grad, best_grad)
            best_loss = tf.maximum(best_loss, new_loss)
            adv = pick(wrong & ~broken, new, adv)  # the first, however long other images of the batch take
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
        going = lambda i, *state: (i < steps) & ~tf.reduce_all(state[-1])
        *_, best, _, _, _, adv, broken = repeated(going, step, state)
        return pick(broken, adv, best), broken

    image = tf.TensorSpec((None, None, None, None))
    label, scalar, pair = tf.TensorSpec((None,), tf.int32), tf.TensorSpec(()), tf.TensorSpec((None, 2), tf.int32)
    return tf.function(ascend, input_signature=(image, label, label, scalar, pair))
