"""The figures of the evaluation modes, which are in the modes' files."""

from robust_tf.evaluation import MODES


def figures(runs):
    found = []
    for mode in MODES.values():
        for draw in mode.resolve().FIGURES:
            figure = draw(runs)
            found += figure if isinstance(figure, list) else [figure]
    return found


FIGURES = (figures,)
