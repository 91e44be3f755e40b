"""Refusal: input that cannot be used."""


class Refusal(Exception):
    """One line for the user: what was expected and what came. Commands print it and exit with code 2."""
