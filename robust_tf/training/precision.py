"""Mixed precision: bfloat16 inside the net, float32 where a perturbation or a small update would be rounded away.

bfloat16 has float32's range, so that no loss needs scaling, but 8 bits of precision: pixels near 1 would lie 1/256
apart, half of eps = 2/255. So whatever sees the image computes in float32, and so do the last kernel and all after it,
the loss, the attack's steps and projections, batch statistics, the optimiser, penalties, duals and masks. Weights are
float32 throughout, and are rounded as they are used. Kernels that masks' wrappers hold compute in float32 in training's
own passes, for the wrappers multiply the weights themselves; attacks see them in bfloat16 as any.
"""

from robust_tf.models.fast import nodes_of
from robust_tf.models.kernels import kernel_layers

MIXED = "mixed_bfloat16"  # Keras' name of the policy: variables float32, computation bfloat16


def mixed_layers(net):
    """Names of the layers that compute in bfloat16: those that see the image through kernels only, before the last."""
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
