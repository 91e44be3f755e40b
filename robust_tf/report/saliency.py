"""What the logit of the true class depends on: input gradients and Grad-CAM (thesis, 2.1.1 and 3.2.1).

gradient   |d z_y / d x|, the largest over the channels (Simonyan et al., arXiv 1312.6034)
Grad-CAM   ReLU(sum_c w_c A_c), w_c the mean over the image of d z_y / d A_c, A the last convolution's output
           (Selvaraju et al., arXiv 1610.02391), scaled to the image's size
"""

import tensorflow as tf
import tf_keras as keras

from robust_tf.evaluation.accuracy import inference
from robust_tf.report.figures import Figure, Missing
from robust_tf.report.pictures import sample, strip

SHOWN = 8


def saliency(runs):
    """One panel: the images, and below them each run's maps, so that natural and robust nets stand side by side."""
    rows = []
    for run in runs:
        try:
            net, x, y = sample(run, SHOWN)
        except FileNotFoundError:
            continue
        if not rows or rows[0][0] != "images":
            names = run.summary.get("class_names") or [str(i) for i in range(net.output_shape[-1])]
            rows.insert(0, ("images", [(png, "", True) for png, _, _ in strip(inference(net), x, y, names)]))
        for what, maps in (("gradient", gradients(net, x, y)), ("Grad-CAM", grad_cam(net, x, y))):
            if maps is not None:
                rows.append((f"{run.name}: {what}", [(png, "", True) for png in grey(maps)]))
    if not rows:
        return Missing("Saliency", "it takes model.keras and export/sample.npz, which bin/export_tflite writes")
    caption = "White: what the logit of the true class depends on most, each map scaled to its own largest value."
    return Figure("saliency", "Saliency", caption, pictures=rows)


def gradients(net, x, y):
    """[N, H, W] of images [N, H, W, C] and labels [N]."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = tf.gather(net(x, training=False), y, batch_dims=1)
    return tf.reduce_max(tf.abs(tape.gradient(z, x)), -1)


def grad_cam(net, x, y):
    """[N, H, W], at the size of the images; None for a net without convolutions."""
    convolutions = [layer for layer in net.layers if isinstance(layer, keras.layers.Conv2D)]
    if not convolutions:
        return None
    parts = keras.Model(net.inputs, [convolutions[-1].output, net.output])
    with tf.GradientTape() as tape:
        tape.watch(x)  # so that what comes before A is recorded too, and A with it
        A, z = parts(x, training=False)
        z = tf.gather(z, y, batch_dims=1)
    w = tf.reduce_mean(tape.gradient(z, A), (1, 2), keepdims=True)
    maps = tf.nn.relu(tf.reduce_sum(w * A, -1, keepdims=True))
    return tf.image.resize(maps, x.shape[1:3])[..., 0]


def grey(maps):
    """PNG bytes of maps [N, H, W], each divided by its largest value."""
    largest = tf.maximum(tf.reduce_max(maps, (1, 2), keepdims=True), 1e-12)
    pixels = tf.cast(tf.round(255 * maps / largest), tf.uint8)[..., None]
    return [tf.io.encode_png(image).numpy() for image in pixels]


FIGURES = (saliency,)
