"""Certification by interval bound propagation: predictions that no attack within a radius can change.

bounds.py       bounds of a net's logits over a ball of images; the loss ibp trains on them
certified.py    the images that a net is proven to classify correctly
file.py         the images that a .tflite file is proven to classify correctly, on any kernels
propagation.py  bounds of a file's tensors, operation by operation
integers.py     the rules of int8 operations
floats.py       the rules of float32 operations, with what kernels may round
operations.py   what both share: products, moves
requantise.py   how int8 kernels round their sums, and bounds that hold for all of them
"""
