"""What a user may have meant: the end of the message that refuses a misspelt name, or a radius of 8-bit pixels."""

import difflib


def did_you_mean(word, names, mark=""):
    """ "; did you mean lenet?" with those of `names` that resemble `word`; "" if none does. mark: before each name.

    A name that differs only in case or hyphens; otherwise names that one begins the other; otherwise close spellings.
    """
    folded = {plain(name): name for name in names}
    word = plain(word)
    found = [word] if word in folded else []
    found = found or [name for name in folded if len(word) > 2 and name.startswith(word)]
    found = found or [name for name in folded if len(name) > 2 and word.startswith(name)]
    found = found or difflib.get_close_matches(word, folded, n=3)
    return f"; did you mean {' or '.join(mark + folded[name] for name in found)}?" if found else ""


def plain(word):
    return word.lower().replace("-", "_")


def of_8_bits(eps):
    """ "; did you mean 8/255?" for a radius of 8; "" for one that is none of 8-bit pixels."""
    return f"; did you mean {eps:g}/255?" if 1 < eps <= 255 else ""
