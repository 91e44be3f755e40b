"""Batch normalisation in inference mode, as one scale and one shift for each channel."""


def scale_and_shift(gamma, beta, mean, variance, epsilon):
    """(s, t) with gamma (x - mean) / sqrt(variance + epsilon) + beta = s x + t; arrays or tensors [channels]."""
    scale = gamma / (variance + epsilon) ** 0.5
    return scale, beta - scale * mean


def of_layer(norm):
    """(s, t) of a Keras layer, from the present values of its variables."""
    gamma, beta = norm.gamma if norm.scale else 1.0, norm.beta if norm.center else 0.0
    return scale_and_shift(gamma, beta, norm.moving_mean, norm.moving_variance, norm.epsilon)
