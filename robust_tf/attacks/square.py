"""Square (Andriushchenko et al., arXiv 1912.00049), L-inf: random search over square patches, from scores alone."""

import functools

import numpy as np
import tensorflow as tf

from robust_tf.attacks.margin import margin
from robust_tf.attacks.seeds import derived, each, rows

# The fraction p of pixels in a square is halved after each of these numbers of queries.
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
CHUNK = 50  # queries between checks for misclassified images


def square(logits_fn, x, y, *, eps, queries=5000, restarts=1, seed=0, initial_p=0.8):
    """Starts from vertical stripes of +-eps; each query sets a random square to +-eps, one sign per channel.

    A query is kept if it lowers the margin z_y - max_{i != y} z_i; an image is finished once its margin is negative.
    The square's side is round(sqrt(p H W)); p = `initial_p` is halved at HALVINGS, which are not rescaled to `queries`.

    Args:
      logits_fn: images [B, H, W, C] -> scores [B, K]; no gradient is taken.
      x: images [B, H, W, C] float32 in [0, 1].
      y: labels [B].
      eps: radius in pixels of [0, 1].
      queries: evaluations of each image in a restart.
      restarts: number of restarts; an image that is misclassified is not attacked again.
      seed: one integer or several, or a seed for each image, int32 [B, 2] (`attacks.seeds`).
      initial_p: p at the start.

    Returns:
      x_adv [B, H, W, C]: the point of the smallest margin of an image's last restart.
    """
    x, y = tf.convert_to_tensor(x), tf.cast(y, tf.int32)
    if eps == 0:
        return x
    x_adv, seeds = x, rows(seed, x)
    left = tf.where(margin(logits_fn(x), y) >= 0)[:, 0]  # images that are not yet misclassified
    for restart in range(restarts):
        stripes, search = _compiled(logits_fn)
        eps_now = tf.constant(eps, tf.float32)
        if len(left):
            drawn = tf.constant(derived(seeds[left.numpy()], restart, 0))
            best, least = stripes(tf.gather(x, left), tf.gather(y, left), eps_now, drawn)
            x_adv = tf.tensor_scatter_nd_update(x_adv, left[:, None], best)
            left, best, least = (tf.boolean_mask(part, least >= 0) for part in (left, best, least))
        for begin in range(1, queries, CHUNK):
            if not len(left):
                break
            sides = [side(query, initial_p, *x.shape[1:3]) for query in range(begin, min(begin + CHUNK, queries))]
            drawn = tf.constant(derived(seeds[left.numpy()], restart, begin))
            best, least = search(
                tf.gather(x, left), tf.gather(y, left), best, least, eps_now, tf.constant(sides), drawn
            )
            x_adv = tf.tensor_scatter_nd_update(x_adv, left[:, None], best)
            left, best, least = (tf.boolean_mask(part, least >= 0) for part in (left, best, least))
    return x_adv


def corner(u, low, high):
    """low or high, with equal probability for u uniform in [0, 1)."""
    return tf.where(u < 0.5, high, low)


def ball(x, eps):
    """The least and the greatest pixels within eps of x."""
    return tf.maximum(x - eps, 0.0), tf.minimum(x + eps, 1.0)


def side(query, initial_p, height, width):
    """Side of the square of query number `query`, in pixels."""
    p = initial_p / 2 ** sum(query > halving for halving in HALVINGS)
    return min(max(1, round(np.sqrt(p * height * width))), height, width)


@functools.lru_cache(maxsize=8)
def _compiled(logits_fn):
    """The start and a chunk of queries as graphs; both return the best point so far and its margin [B]."""

    def stripes(x, y, eps, seeds):
        _, _, width, channels = tf.unstack(tf.shape(x))
        drawn = each(lambda seed: tf.random.stateless_uniform((1, width, channels), seed), seeds)
        start = corner(drawn, *ball(x, eps))
        return start, margin(logits_fn(start), y)

    def search(x, y, best, least, eps, sides, seeds):
        _, height, width, channels = tf.unstack(tf.shape(x))
        low, high = ball(x, eps)

        # The numbers of all queries are drawn at once: for each its row, its column and the signs of its channels.
        drawn = each(lambda seed: tf.random.stateless_uniform((len(sides), 2 + channels), seed), seeds)  # [B, Q, 2 + C]

        def query(i, best, least):
            size, numbers = sides[i], drawn[:, i]
            below = lambda u, end: tf.cast(u * tf.cast(end, tf.float32), tf.int32)  # u in [0, 1) -> 0, ..., end - 1
            top, left = below(numbers[:, :1], height - size + 1), below(numbers[:, 1:2], width - size + 1)
            rows, columns = tf.range(height)[None], tf.range(width)[None]
            inside = ((rows >= top) & (rows < top + size))[:, :, None] & ((columns >= left) & (columns < left + size))[
                :, None
            ]  # [B, H, W]
            tried = tf.where(inside[..., None], corner(numbers[:, None, None, 2:], low, high), best)
            now = margin(logits_fn(tried), y)
            kept = (now < least) & (least >= 0)
            return i + 1, tf.where(kept[:, None, None, None], tried, best), tf.where(kept, now, least)

        return tf.while_loop(lambda i, *_: i < len(sides), query, (0, best, least))[1:]

    image, margins, real = tf.TensorSpec((None,) * 4), tf.TensorSpec((None,)), tf.TensorSpec(())
    whole, pair = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None, 2), tf.int32)
    return (
        tf.function(stripes, input_signature=(image, whole, real, pair)),
        tf.function(search, input_signature=(image, whole, image, margins, real, whole, pair)),
    )
