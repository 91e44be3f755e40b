"""Saliency maps of the logit of the true class: input gradients and Grad-CAM (thesis, 2.1.1 and 3.2.1).

gradient   max over the channels of |d z_y / d x| (Simonyan et al., arXiv 1312.6034)
Grad-CAM   ReLU(sum_c w_c A_c), w_c the mean over the image of d z_y / d A_c, A the last convolution's output
           (Selvaraju et al., arXiv 1610.02391), scaled to the image's size
"""

import tensorflow as tf
import tf_keras as keras


def gradients(net, x, y):
    """Gradient maps [N, H, W] of images [N, H, W, C] with labels [N]."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = tf.gather(net(x, training=False), y, batch_dims=1)
    return tf.reduce_max(tf.abs(tape.gradient(z, x)), -1)


def grad_cam(net, x, y):
    """Grad-CAM maps [N, H, W], at the size of the images; None for a net without convolutions."""
    convolutions = [layer for layer in net.layers if isinstance(layer, keras.layers.Conv2D)]
    if not convolutions:
        return None
    parts = keras.Model(net.inputs, [convolutions[-1].output, net.output])
    with tf.GradientTape() as tape:
        tape.watch(x)  # so that the tape records A even if no weight before it is trainable
        A, z = parts(x, training=False)
        z = tf.gather(z, y, batch_dims=1)
    w = tf.reduce_mean(tape.gradient(z, A), (1, 2), keepdims=True)
    maps = tf.nn.relu(tf.reduce_sum(w * A, -1, keepdims=True))
    return tf.image.resize(maps, x.shape[1:3])[..., 0]


def scaled(maps):
    """Maps [N, H, W] as grey images [N, H, W, 1] in [0, 1], each divided by its largest value."""
    largest = tf.maximum(tf.reduce_max(maps, (1, 2), keepdims=True), 1e-12)
    return (maps / largest).numpy()[..., None]
