"""What must hold before the runtime starts; tests of faults write their own."""


def check() -> None:
    """Nothing is needed."""
