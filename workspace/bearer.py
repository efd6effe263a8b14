"""Read the token that a caller shows."""

from starlette.requests import Request


def bearer_of(request: Request) -> bytes:
    """Return what a caller sends as `Authorization: Bearer`; empty without it."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip().encode() if scheme.lower() == "bearer" else b""
