"""Show what was said in this workspace, to who holds the token that the platform has issued to it."""

import hmac
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bearer import bearer_of
from conversations import Conversations
from platform_auth import PlatformToken

OFF = "transcripts are off: the platform has issued no token to this workspace"
WRONG = "the workspace's token is missing or wrong; send it as Authorization: Bearer"


class Transcript:
    """Answers `GET /transcript[?contextId=ID]`. There is no mode without a token."""

    def __init__(
        self, conversations: Conversations, token: PlatformToken, scrub: Callable[[str], str]
    ) -> None:
        """`scrub` takes secrets out of what is shown."""
        self._conversations = conversations
        self._token = token
        self._scrub = scrub

    def routes(self) -> list[Route]:
        """Return the routes to mount."""
        return [Route("/transcript", self._show, methods=["GET"])]

    async def _show(self, request: Request) -> JSONResponse:
        if self._token.get() is None:
            return JSONResponse({"error": OFF}, 403)
        given = bearer_of(request)
        # The platform rotates the token by writing its file anew.
        if not self._is_own(given) and not (self._token.read_again() and self._is_own(given)):
            return JSONResponse({"error": WRONG}, 401, {"WWW-Authenticate": "Bearer"})
        wanted = request.query_params.get("contextId")
        shown = {
            context: [{name: self._scrub(text) for name, text in exchange.items()} for exchange in exchanges]
            for context, exchanges in self._conversations.export().items()
            if wanted is None or context == wanted
        }
        return JSONResponse({"conversations": shown}, headers={"Cache-Control": "no-store"})

    def _is_own(self, given: bytes) -> bool:
        token = self._token.get()
        return token is not None and hmac.compare_digest(given, token.encode())
