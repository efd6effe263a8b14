"""Answers politely: what it needs of the runtime it imports when a turn runs, as real adapters do."""


def answer(text: str) -> str:
    from molecule_runtime.words import please  # noqa: PLC0415 - the point of this template

    return please(text)
