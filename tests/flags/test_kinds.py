"""How the text of a flag is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robust_tf.flags.kinds import real, sequence, whole


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), max_size=5), st.floats(0, 1))
def test_sequences_read_what_was_written(steps, first):
    epoch, pairs = 0, [(0, first)]
    for gap, value in steps:
        epoch += gap
        pairs.append((epoch, value))
    text = ",".join(f"{epoch}:{value!r}" for epoch, value in pairs)
    assert sequence(real(0, 1)).parse(text) == tuple(pairs)


@pytest.mark.parametrize("text", ["", "1:0.1", "0:0.1,0:0.2", "0:0.1,5:0.2,3:0.1", "0:2", "0", "a:b", "0:0.1;3:0.2"])
def test_bad_sequences(text):
    with pytest.raises(ValueError, match="expected epoch:value"):
        sequence(real(0, 1)).parse(text)


def test_kinds_say_their_interval():
    assert real(0, 1, above=True).expected == "a number or fraction in (0, 1]"
    assert whole(2).parse("3") == 3
