"""Answer GET /runtime, and drain over HTTP for those who hold the control token."""

import hmac
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bearer import bearer_of
from lifecycle import DEFAULT_DRAIN_SECONDS, MAX_DRAIN_SECONDS, Lifecycle
from status import StatusBoard

VARIABLE = "WORKSPACE_CONTROL_TOKEN_FILE"


class ControlRoutes:
    """The HTTP side of the status board and the lifecycle."""

    def __init__(self, lifecycle: Lifecycle, board: StatusBoard, token_file: Path | None) -> None:
        self._lifecycle = lifecycle
        self._board = board
        self._token_file = token_file

    def routes(self) -> list[Route]:
        """Return the routes to mount."""
        return [
            Route("/runtime", self._status, methods=["GET"]),
            Route("/runtime/drain", self._drain, methods=["POST"]),
            Route("/runtime/drain", self._resume, methods=["DELETE"]),
        ]

    async def _status(self, _request: Request) -> JSONResponse:
        return JSONResponse(self._board.document(), headers={"Cache-Control": "no-store"})

    async def _drain(self, request: Request) -> JSONResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        try:
            body = await request.json() if await request.body() else {}
        except ValueError:
            body = None
        seconds = body.get("timeoutSeconds", DEFAULT_DRAIN_SECONDS) if isinstance(body, dict) else None
        if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds <= MAX_DRAIN_SECONDS:
            text = (
                f'the body must be {{"timeoutSeconds": n}} with a whole number from 1 to {MAX_DRAIN_SECONDS}'
            )
            return JSONResponse({"error": text}, 400)
        self._lifecycle.drain(seconds)
        return await self._status(request)

    async def _resume(self, request: Request) -> JSONResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        self._lifecycle.resume()
        return await self._status(request)

    def _refusal(self, request: Request) -> JSONResponse | None:
        """Return the refusal of a caller without the control token; there is no mode without one."""
        token, problem = self._token()
        if token is None:
            text = f"draining over HTTP is off: {problem}; use `molecule-runtime ctl drain` in the container instead"
            return JSONResponse({"error": text}, 403)
        if hmac.compare_digest(bearer_of(request), token):
            return None
        text = "the control token is missing or wrong; send it as Authorization: Bearer"
        return JSONResponse({"error": text}, 401, {"WWW-Authenticate": "Bearer"})

    def _token(self) -> tuple[bytes | None, str]:
        """Read the token anew for each request, since its Secret may be rotated under a running process."""
        if self._token_file is None:
            return None, f"{VARIABLE} is not set"
        try:
            token = self._token_file.read_bytes().strip()
        except OSError as error:
            return None, f"the file that {VARIABLE} names cannot be read ({error})"
        return (token, "") if token else (None, f"the file that {VARIABLE} names is empty")
