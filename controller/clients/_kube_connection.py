"""The connection to a Kubernetes API server: what is sent over it, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import (
    ConfigException,
    list_kube_config_contexts,
    load_incluster_config,
    load_kube_config,
)

from controller.clients._kube_errors import refused, translated
from controller.clients._kube_objects import Call, Credentials, JsonObject
from controller.model.errors import Terminal

CALL_SECONDS: Final = 30.0
SILENCE_SECONDS: Final = 90.0
"""A server sends a bookmark about every minute: a stream that is silent for longer is dead."""


class KubeConnection:
    """One API server, reached with the library's kubeconfig, certificates and tokens.

    `kubeconfig` None means the service account of the pod that we run in. `answered` is told of every answer: its method
    (WATCH for a GET that stays) and HTTP status. A connection on which the server said nothing for `silence_seconds` is dead.
    """

    def __init__(
        self,
        kubeconfig: Path | None,
        *,
        context: str | None,
        silence_seconds: float,
        answered: Callable[[str, int], None],
    ) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._silence_seconds = silence_seconds
        self._limits = aiohttp.ClientTimeout(total=CALL_SECONDS, sock_read=silence_seconds)
        self._answered = answered
        self._client: ApiClient | None = None

    async def __aenter__(self) -> Self:
        configuration = Configuration()
        try:
            if self._kubeconfig is None:
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # the library types its models and not its connection
            else:
                await load_kube_config(  # type: ignore[no-untyped-call]  # the library types its models and not its connection
                    str(self._kubeconfig), self._context, configuration, persist_config=False
                )
        except (ConfigException, OSError, ValueError) as error:
            where = self._kubeconfig or "the service account of this pod"
            raise Terminal(
                "ClusterUnknown",
                f"Could not read {where}: {' '.join(str(error).split()).rstrip('.')}.",
                fix="Name a kubeconfig with a context that exists.",
            ) from error
        # Left to itself, the library reads ~/.netrc and looks for a proxy before each request, in a thread.
        configuration.client_session_kwargs = {"trust_env": False}
        configuration.proxy = configuration.proxy or _proxy(str(configuration.host))
        self._client = ApiClient(configuration)
        self._client.user_agent = "workspace-runtime"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]  # the library types its models and not its connection

    async def credentials(self) -> Credentials:
        """Return how the server is reached now; a token that expires is the newest one."""
        configuration = self._opened.configuration
        header = await configuration.get_api_key_with_prefix("BearerToken") or ""
        scheme, _, token = header.rpartition(" ")
        return Credentials(
            server=str(configuration.host),
            ca_file=configuration.ssl_ca_cert,
            certificate=configuration.cert_file,
            key=configuration.key_file,
            scheme=scheme or None,
            token=token or None,
            insecure=not configuration.verify_ssl,
        )

    def namespace(self) -> str:
        """Return the namespace of the kubeconfig's context; the usual one where it names none."""
        contexts, current = list_kube_config_contexts(str(self._kubeconfig))  # type: ignore[no-untyped-call]  # the library types its models and not its connection
        name = self._context or current["name"]
        mine = next(each["context"] for each in contexts if each["name"] == name)
        return str(mine.get("namespace") or "default")

    @property
    def _opened(self) -> ApiClient:
        if self._client is None:
            raise RuntimeError("KubeCluster is used outside its `async with`")
        return self._client

    async def _send(self, call: Call, limits: aiohttp.ClientTimeout | None = None) -> aiohttp.ClientResponse:
        """Send one request and return the answer, its body unread."""
        _, url, headers, _, _ = await self._opened.param_serialize(
            call.method,
            call.path,
            query_params=[(key, value) for key, value in call.query.items() if value],
            header_params={"Content-Type": call.content_type, "Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        answer = await self._opened.call_api(
            call.method, url, headers, call.body, None, limits or self._limits
        )
        response: aiohttp.ClientResponse = answer.response
        self._answered("WATCH" if "watch" in call.query else call.method, response.status)
        return response

    @asynccontextmanager
    async def _stream(
        self, call: Call, limits: aiohttp.ClientTimeout | None = None
    ) -> AsyncGenerator[aiohttp.StreamReader, None]:
        """Send one request and give the answer's body, as it comes; what goes wrong inside is translated, too."""
        with translated(call.doing):
            answer = await self._send(call, limits)
            try:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise refused(call.doing, answer.status, await answer.read(), answer.headers)
                yield answer.content
            finally:
                answer.close()

    async def _ask(self, call: Call) -> JsonObject:
        with translated(call.doing):
            answer = await self._send(call)
            try:
                content = await answer.read()
            finally:
                answer.release()
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise refused(call.doing, answer.status, content, answer.headers)
            document: JsonObject = json.loads(content)
            return document


def _proxy(server: str) -> str | None:
    """Return the proxy that the environment names for a server."""
    parts = urlsplit(server)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
