"""What templates may say; an adapter imports it when a turn runs."""


def please(text: str) -> str:
    """Return the text, politely."""
    return f"please: {text}"
