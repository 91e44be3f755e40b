"""Compression of a net during training.

admm.py       ADMM's variables Z, U and rho, and their updates
atmc.py       ATMC's factorised layers W = (I + U')V + C
masks.py      masks that keep zeros at zero (tensorflow-model-optimization)
centroids.py  training of a codebook's values, with fixed assignments
quantise.py   8-bit rounding of trained kernels
"""
