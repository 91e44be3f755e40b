"""Certification by interval bound propagation: predictions that no attack within a radius can change.

bounds.py     bounds of a net's logits over a ball of images; the loss ibp trains on them
certified.py  the images that are proven to be classified correctly
"""
