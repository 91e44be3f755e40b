"""Command-line flags -> frozen configurations, checked before TensorFlow is imported.

kinds.py        how the text of a flag is read
declare.py      a configuration as a dataclass of flags; reading it from a command line; help texts
meaning.py      which flags apply, given the others
suggestions.py  what a misspelt name may have meant
text.py         a configuration written as flags, and as JSON

Each command's configuration is defined in the package that it configures (training/config.py, evaluation/config.py,
...). Bad input raises `Refusal`: one line that says what was expected and what was given.
"""
