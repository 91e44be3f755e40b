"""Mixed precision: bfloat16 inside the net, float32 where a perturbation or a small update would be rounded away.

bfloat16 has float32's range, so that no loss needs scaling, but 8 bits of precision: pixels near 1 would lie 1/256
apart, half of eps = 2/255. So the layers up to the first kernel compute in float32, and so do the logits, the loss, the
attack's steps and projections, batch statistics, the optimiser, penalties, duals and masks. Weights are float32
throughout, and are rounded as they are used.
"""

from robust_tf.models.kernels import kernel_layers

MIXED = "mixed_bfloat16"  # Keras' name of the policy: variables float32, computation bfloat16


def mixed_layers(net):
    """Names of the layers that compute in bfloat16: those between the first kernel and the logits."""
    first = net.layers.index(kernel_layers(net)[0])
    return {layer.name for layer in net.layers[first + 1 :]} - set(net.output_names)
