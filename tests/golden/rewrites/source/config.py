"""Settings."""

VALUE = 1
_HIDDEN = 2


def load():
    return VALUE
