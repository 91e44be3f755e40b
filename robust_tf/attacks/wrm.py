"""WRM (Sinha et al., arXiv 1710.10571): an attack with a penalty on the distance in place of a ball."""

import functools

import tensorflow as tf

from robust_tf.attacks.loops import repeated


def wrm(logits_fn, x, y, *, loss_weight, wrm_steps=3, deviation=1.0):
    """Gradient ascent from x, clipped to [0, 1], with step sizes 1 / sqrt(t + 1), t = 0, 1, ..., on

        loss_weight * deviation^2 * CE(x', y) - 0.5 * ||x' - x||_2^2

    as in Gui et al.'s evaluation (section 3). Their weight for CIFAR-10, 20, applies to images in units of the data's
    standard deviation s (loss_weight=20, deviation=0.2 here); with deviation 1 the weight is in pixels.

    Args:
      logits_fn: images [B, H, W, C] -> logits [B, K].
      x: images [B, H, W, C] float32 in [0, 1].
      y: labels [B].
      loss_weight: weight of the cross-entropy.
      wrm_steps: gradient steps.
      deviation: s, the unit of loss_weight.

    Returns:
      x_adv [B, H, W, C] in [0, 1]; no eps bounds its distance from x.
    """
    weight = tf.constant(loss_weight * deviation**2, tf.float32)
    return _compiled(logits_fn, wrm_steps)(tf.convert_to_tensor(x), tf.cast(y, tf.int32), weight)


@functools.lru_cache(maxsize=8)
def _compiled(logits_fn, steps):
    image, label = tf.TensorSpec((None, None, None, None)), tf.TensorSpec((None,), tf.int32)

    @tf.function(input_signature=(image, label, tf.TensorSpec(())))
    def run(x, y, weight):
        def step(t, x_adv):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x_adv)
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits_fn(x_adv))
                gain = weight * tf.reduce_sum(loss) - 0.5 * tf.reduce_sum((x_adv - x) ** 2)
            moved = x_adv + tape.gradient(gain, x_adv, unconnected_gradients="zero") / tf.sqrt(
                tf.cast(t + 1, tf.float32)
            )
            return t + 1, tf.clip_by_value(moved, 0.0, 1.0)

        return repeated(lambda t, _: t < steps, step, (0, x))[1]

    return run
