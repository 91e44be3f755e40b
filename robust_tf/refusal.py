"""The error for input that a command cannot use."""


class Refusal(Exception):
    """One line for the user: what was expected and what was given. Commands print it and exit with its code."""

    exit_code = 2


class BrokenCertificate(Refusal):
    """An attack broke an image that is certified: not the input is wrong, but the certificate or the attack."""

    exit_code = 3
