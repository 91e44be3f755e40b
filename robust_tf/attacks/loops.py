"""The loop of attacks that take gradients."""

import tensorflow as tf


def repeated(going, step, state):
    """tf.while_loop(going, step, state), with the step as a function of its own.

    Otherwise TensorFlow makes the step part of the graph around it, and the loop a cycle in it. The order in which
    oneDNN's graph pass then sees the operations of the cycle is a matter of chance. Where it sees the gradient of a max
    pooling before the pooling, it leaves the slower kernel: one and the same attack on LeNet took 1.25 times as long in
    about half of all graphs (docs/performance.md).
    """
    if tf.executing_eagerly():
        return tf.while_loop(going, step, state)
    apart = tf.function(step, autograph=False, experimental_attributes={"_noinline": True})
    return tf.while_loop(going, lambda *now: apart(*now), state)
