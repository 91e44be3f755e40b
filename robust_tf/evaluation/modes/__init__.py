"""The modes of bin/evaluate, a file each."""

from typing import NamedTuple


class Mode(NamedTuple):
    """measure(subject, asked, config, path): the part of the record that is measured, a dict; `subject` is a
    `subject.Subject`, `asked` the mode's settings, `path` where the record will stand, for files beside it.
    show(record, console): prints the record.
    certifies: whether what interval bounds prove of the run's net is a bound of what is measured.
    """

    measure: callable
    show: callable
    certifies: bool = False
