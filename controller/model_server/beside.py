"""The stand-in beside one candidate in its pod: told over HTTP, by whoever made the pod, what to say and which turn it is.

Until it is told it listens for nobody but that one; a cluster starts the candidate only when the candidate's model
listens. So no word of a probe's script stands in the pod's description, and no candidate meets a model that is not there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web

from controller.model_server.script import Script
from controller.model_server.server import ModelServer
from controller.model_server.ticket import Ticket

ADMIT_PATH: Final = "/admit"
TURN_PATH: Final = "/turn"
SEEN_PATH: Final = "/seen"
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 -- a pod's own network: its node asks whether it listens, its maker what it saw
_FOR_ANY_USER: Final = 0o666

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where it stands: its two ports, who may tell it something, and the folders of the candidate's configuration.

    `authorized` is the SHA-256, in hex, of the word that its maker sends; what is in `given` and what its maker sends
    goes to `configs`, where any user may change it.
    """

    port: int
    control_port: int
    authorized: str
    given: Path
    configs: Path


class Beside:
    """See the module."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._models = ModelServer()
        self._admitted = ExitStack()
        self._script: Script | None = None
        self._told = False
        self._runner: web.AppRunner | None = None

    async def listen(self) -> None:
        """Listen for the maker of the pod. Raises OSError when a port is taken."""
        app = web.Application()
        app.router.add_post(ADMIT_PATH, self._by_its_maker(self._admit))
        app.router.add_put(TURN_PATH, self._by_its_maker(self._turn))
        app.router.add_get(SEEN_PATH, self._by_its_maker(self._seen))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, _EVERYWHERE, self._place.control_port).start()

    async def close(self) -> None:
        """Stop listening."""
        self._admitted.close()
        await self._models.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _by_its_maker(self, answer: _Handler) -> _Handler:
        async def answered(request: web.Request) -> web.StreamResponse:
            word = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(hashlib.sha256(word.encode()).hexdigest(), self._place.authorized):
                return web.Response(status=HTTPStatus.NOT_FOUND)
            return await answer(request)

        return answered

    async def _admit(self, request: web.Request) -> web.Response:
        """Take what to say, put the configuration in place, and begin to listen for the candidate."""
        if self._told:
            return web.Response(status=HTTPStatus.CONFLICT)
        self._told = True
        told = json.loads(await request.read())
        files = {name: base64.b64decode(content) for name, content in told["files"].items()}
        names = _put(self._place.configs, {**_given(self._place.given), **files})
        if told["script"] is not None:
            self._script = Script(tools=told["script"]["tools"], nonce=told["script"]["nonce"])
            ticket = Ticket(told["token"], frozenset(told["keys"]), {})
            self._admitted.enter_context(self._models.admitting(ticket, self._script))
        await self._models.listen(_EVERYWHERE, self._place.port)
        return web.json_response({"files": names})

    async def _turn(self, request: web.Request) -> web.Response:
        if self._script is not None:
            self._script.turn = int(json.loads(await request.read())["turn"])
        return web.json_response({})

    async def _seen(self, _: web.Request) -> web.Response:
        return web.json_response(self._script.seen() if self._script is not None else {})


def _given(folder: Path) -> Mapping[str, bytes]:
    """Return the files of a mounted ConfigMap, which are links; what begins with two dots is the node's own."""
    found = folder.iterdir() if folder.is_dir() else ()
    return {
        file.name: file.read_bytes() for file in found if file.is_file() and not file.name.startswith("..")
    }


def _put(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    for name, content in files.items():
        file = folder / name
        file.write_bytes(content)
        file.chmod(_FOR_ANY_USER)
    return sorted(files)
