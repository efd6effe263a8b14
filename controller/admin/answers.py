"""What all parts of the endpoint read and answer in one way: bearer tokens, and refusals that say what to do."""

from __future__ import annotations

from aiohttp import web


def bearer_token(request: web.Request) -> str:
    """Return the token that a caller shows; empty when it shows none."""
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else ""


def refusal(status: int, text: str, *, challenge: bool = False) -> web.Response:
    """Return an answer that refuses a call, whose body need not have been read."""
    answer = web.Response(
        status=status, text=f"{text}\n", headers={"WWW-Authenticate": "Bearer"} if challenge else {}
    )
    # The rest of a body that was refused would else be read as the next request.
    answer.force_close()
    return answer
