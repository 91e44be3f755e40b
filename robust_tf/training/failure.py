"""TrainingFailed: training cannot go on."""


class TrainingFailed(RuntimeError):
    """Training cannot go on; the message says why and what may help."""
