"""Nets that users trained with Keras 3 or Keras 2, converted to the Keras 2 nets of this project.

files      FILE -> its configuration and weights, as data; nothing is executed
inspect    refuses a configuration that Keras would answer by running or importing code
graph      configuration -> the layers of the net, without nesting, in the order of computation
weights    the arrays of each layer
layers     LAYERS: the Keras 2 layers in place of each layer
operations FUNCTIONS, OPERATIONS: the same for operations on tensors
convert    layers and arrays -> a Keras 2 net of logits
original   the net as its own Keras computes it, for comparison
classes    the order of the classes, a new last layer
scaling    the pixels that the net expects
"""
