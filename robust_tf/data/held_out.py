"""How many training images are held out for validation."""

VALIDATION = 2000


def held_out(train_images):
    """How many of the training images are held out: min(2000, N // 5)."""
    return min(VALIDATION, train_images // 5)
