"""Mixed precision: bfloat16 inside the net, float32 where a perturbation or a small update would be rounded away.

bfloat16 has the range of float32, so that the loss needs no scaling, but only 8 bits of precision: pixel values near 1
would be 1/256 apart, half of eps = 2/255. So these compute in float32: layers that read the image, the last kernel and
all layers after it, the loss, the attack's gradient steps and projections, batch statistics, the optimiser, penalties,
dual variables and masks. Weights are stored in float32 and rounded when they are used. Kernels inside masks' wrappers
compute in float32 in training passes, because the wrappers multiply the weights themselves; in attacks they compute in
bfloat16.
"""

from robust_tf.models.fast import nodes_of
from robust_tf.models.kernels import kernel_layers

MIXED = "mixed_bfloat16"  # Keras' name of the policy: variables float32, computation bfloat16


def mixed_layers(net):
    """Names of the layers that compute in bfloat16: before the last kernel, and after other kernels on every path."""
    owners = kernel_layers(net)
    after_last = net.layers[net.layers.index(owners[-1]) :]
    behind, seeing = set(), {layer.name for layer in after_last} | set(net.output_names)
    for node in nodes_of(net):
        if node.parent_nodes and all(parent in behind for parent in node.parent_nodes):
            behind.add(node)
        else:
            seeing.add(node.layer.name)
            if node.layer in owners:
                behind.add(node)
    return {layer.name for layer in net.layers} - seeing
