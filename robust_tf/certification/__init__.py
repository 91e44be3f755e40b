"""Certification by interval bound propagation: predictions that no attack within a radius can change.

bounds.py      bounds of a net's logits over a ball of images; the loss ibp trains on them
certified.py   the images that a net is proven to classify correctly
file.py        the images that an int8 file is proven to classify correctly, on any kernels
integers.py    bounds of an int8 file's tensors, operation by operation
requantise.py  how kernels round their sums, and bounds that hold for all of them
"""
