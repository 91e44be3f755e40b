"""The error for input that a command cannot use."""


class Refusal(Exception):
    """One line for the user: what was expected and what was given. Commands print it and exit with code 2."""
