"""Speak to the platform: JSON over HTTP with this workspace's token, refreshed when it is refused.

On the standard library, since a thread of its own uses it while the event loop may be blocked, and a workspace without
a platform must not pay for a client at its start.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from config import WorkspaceConfig
from environment import Environment
from platform_auth import PlatformToken

REGISTER_PATH = "/registry/register"
TIMEOUT_SECONDS = 10.0
UNAUTHORIZED = 401
MAX_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Registration:
    """How this workspace introduces itself: its id, where it is reached, and what it says of itself."""

    workspace_id: str
    url: str
    card: dict[str, Any] = field(default_factory=dict)


class PlatformClient:
    """Sends requests in the workspace's name."""

    def __init__(self, url: str, registration: Registration, token: PlatformToken) -> None:
        """`url` is the platform's, without a slash at its end."""
        self._url = url
        self._registration = registration
        self._token = token
        self.workspace_id = registration.workspace_id

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON of the platform
        """Send something; a refused token is read again, then asked for anew, and the request repeated once.

        Raises:
            urllib.error.HTTPError: the platform refused it.
            OSError: the platform cannot be reached.
        """
        return self._ask("POST", path, body)

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON of the platform
        """Ask for something, likewise.

        Raises:
            urllib.error.HTTPError, OSError: as for `post`.
        """
        return self._ask("GET", path, None)

    def _ask(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - as above
        import urllib.error  # noqa: PLC0415 - a workspace without a platform does not pay for it

        try:
            return self._send(method, path, body)
        except urllib.error.HTTPError as error:
            if error.code != UNAUTHORIZED or not (self._token.read_again() or self.register()):
                raise
        return self._send(method, path, body)

    def register(self) -> bool:
        """Introduce this workspace; tell whether the platform issued a token that was not known.

        Raises:
            urllib.error.HTTPError, OSError: as for `post`.
        """
        own = self._registration
        answer = self._send(
            "POST", REGISTER_PATH, {"id": own.workspace_id, "url": own.url, "agent_card": own.card}
        )
        token = answer.get("auth_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token or token == self._token.get():
            return False
        self._token.save(token)
        return True

    def _send(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - as above
        import urllib.request  # noqa: PLC0415 - as above

        headers = {"Content-Type": "application/json", "X-Workspace-ID": self.workspace_id}
        if (token := self._token.get()) is not None:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(  # noqa: S310 - the environment check admits http and https only
            f"{self._url}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers=headers,
            method=method,
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - as above
            content = response.read(MAX_ANSWER_BYTES)
        try:
            return json.loads(content) if content else None
        except ValueError:
            return None


def connect(environment: Environment, config: WorkspaceConfig, port: int) -> PlatformClient | None:
    """Return the client of this workspace, which is reached at `port`; None where no platform is named."""
    if environment.platform_url is None or environment.workspace_id is None:
        return None
    import socket  # noqa: PLC0415 - a workspace without a platform does not pay for it

    registration = Registration(
        workspace_id=environment.workspace_id,
        url=environment.public_url or f"http://{socket.gethostname()}:{port}",
        card={"name": config.name, "description": config.description, "version": config.version},
    )
    return PlatformClient(environment.platform_url, registration, PlatformToken(environment.config_folder))
