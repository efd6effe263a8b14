"""A Kubernetes API server, asynchronously: the only way from this program to a cluster's objects and pods.

Objects are the server's JSON as it is. The typed models of the library would be read three times as slowly, and refuse an
answer that they do not know *after* the server has done what was asked; so the library gives us the connection, with
its kubeconfig, certificates and tokens, and what is sent over it stands here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp

from controller.clients._kube_connection import CALL_SECONDS, SILENCE_SECONDS, KubeConnection
from controller.clients._kube_errors import Conflict, Expired, FieldsOwned, refused, translated
from controller.clients._kube_exec import execute
from controller.clients._kube_objects import (
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    PODS,
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    SECRETS,
    STATEFUL_SETS,
    Call,
    Credentials,
    Event,
    JsonObject,
    Listed,
    Owner,
    Place,
    Resource,
    age_of,
)
from controller.clients.executed import ExecResult
from controller.model.errors import Terminal

__all__ = [
    "DEPLOYMENTS",
    "JOBS",
    "NAMESPACES",
    "PODS",
    "RESTRICTED_CONTAINER",
    "RESTRICTED_POD",
    "SECRETS",
    "SILENCE_SECONDS",
    "STATEFUL_SETS",
    "Conflict",
    "Credentials",
    "Event",
    "Expired",
    "FieldsOwned",
    "JsonObject",
    "KubeCluster",
    "Listed",
    "Owner",
    "Place",
    "Resource",
    "age_of",
]

_PAGE: Final = 500
_WATCH_SECONDS: Final = 300
"""How long the server keeps a watch open."""
_LOG_LIMIT_BYTES: Final = 64 * 1024
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"


class KubeCluster(KubeConnection):
    """One cluster.

    Every method raises NotFound (the only answer that means absence), Transient (nothing is known), or Terminal (refused;
    the server's words are in the message). `may_execute` allows commands in pods; for the rest see `KubeConnection`.
    """

    def __init__(
        self,
        kubeconfig: Path | None = None,
        *,
        context: str | None = None,
        may_execute: bool = False,
        silence_seconds: float = SILENCE_SECONDS,
        answered: Callable[[str, int], None] = lambda _method, _status: None,
    ) -> None:
        super().__init__(kubeconfig, context=context, silence_seconds=silence_seconds, answered=answered)
        self._may_execute = may_execute

    async def read(self, resource: Resource, namespace: str | None, name: str) -> JsonObject:
        """Return one object. Raises NotFound when there is none."""
        at = Place(resource, namespace, name)
        return await self._ask(Call("GET", at.path(), f"read {at}"))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        kept: Callable[[JsonObject], JsonObject] = lambda found: found,
    ) -> Listed:
        """Return all objects of a kind, in one namespace or all, narrowed by selectors as `kubectl` takes them.

        `kept` is what to keep of each: of many, the whole of all may be more than there is memory for.
        """
        call = Call("GET", resource.path(namespace), f"list {resource.plural} in {_where(namespace)}")
        query = {"labelSelector": labels, "fieldSelector": fields, "limit": str(_PAGE)}
        items: list[JsonObject] = []
        following = ""
        while True:
            answer = await self._ask(replace(call, query={**query, "continue": following}))
            items += map(kept, answer["items"])
            following = answer["metadata"].get("continue") or ""
            if not following:
                return Listed(tuple(items), answer["metadata"]["resourceVersion"])

    async def apply(
        self, at: Place, body: Mapping[str, Any], *, manager: str, force: bool = False
    ) -> JsonObject:
        """Own the fields in `body` as `manager`, and return the object that results.

        With `force`, fields are taken from whoever owns them. A `uid` or `resourceVersion` in the metadata makes it an
        apply to exactly that object.

        Raises:
            FieldsOwned: others own fields that `body` changes.
            Conflict: the object is not the one that was read.
        """
        call = Call(
            "PATCH",
            at.path(),
            f"apply to {at}",
            query={"fieldManager": manager, "force": "true" if force else "false"},
            body={"apiVersion": at.resource.api, "kind": at.resource.kind, **body},
            content_type=_APPLY,
        )
        return await self._ask(call)

    async def merge(self, at: Place, body: Mapping[str, Any], *, manager: str, part: str = "") -> JsonObject:
        """Change the fields in `body` and no others; None removes one. `part` is a subresource, as ``status``."""
        path = at.path(*([part] if part else []))
        query = {"fieldManager": manager}
        return await self._ask(
            Call("PATCH", path, f"change {at}", query=query, body=body, content_type=_MERGE)
        )

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], *, dry_run: bool = False
    ) -> JsonObject:
        """Create an object, or only be told whether it would be. Raises Conflict when it exists."""
        doing = f"create {resource.kind} {body['metadata'].get('name', '')}".rstrip()
        whole = {"apiVersion": resource.api, "kind": resource.kind, **body}
        query = {"dryRun": "All" if dry_run else ""}
        return await self._ask(Call("POST", resource.path(namespace), doing, query=query, body=whole))

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None
    ) -> None:
        """Delete an object, only the one of this `uid` if given, with what it owns, in the background.

        Raises:
            NotFound: there is none.
            Conflict: it is another one.
        """
        body: JsonObject = {"propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        await self._ask(
            Call("DELETE", resource.path(namespace, name), f"delete {resource.kind} {name}", body=body)
        )

    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        version: str,
        *,
        labels: str = "",
        connected: asyncio.Event | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yield what changes after `version`, until the server ends the stream: watch on from the last version.

        `connected` is set once the server has begun to answer.

        Raises:
            Expired: that version is too old; list anew.
            Transient: the stream broke, or was silent for longer than a living one is.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "labelSelector": labels,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        silence = self._silence_seconds
        limits = aiohttp.ClientTimeout(
            total=_WATCH_SECONDS + silence, sock_connect=CALL_SECONDS, sock_read=silence
        )
        doing = f"watch {resource.plural} in {_where(namespace)}"
        async with self._stream(Call("GET", resource.path(namespace), doing, query=query), limits) as lines:
            if connected is not None:
                connected.set()
            async for line in lines:
                yield _event(doing, json.loads(line))

    async def log(self, at: Place, container: str) -> AsyncGenerator[str, None]:
        """Yield the lines that a container of the pod `at` has written and writes, until it ends."""
        doing = f"read the log of {at}"
        query = {"container": container, "follow": "true"}
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CALL_SECONDS)
        async with self._stream(Call("GET", at.path("log"), doing, query=query), limits) as lines:
            async for line in lines:
                yield line.decode(errors="replace").rstrip("\r\n")

    async def execute(
        self, at: Place, container: str, command: Sequence[str], *, timeout_seconds: float
    ) -> ExecResult:
        """Run a command in a container of the pod `at`.

        Raises:
            Terminal: this program may not run anything in pods.
            Transient: the pod does not run, or nobody answers.
        """
        doing = f"run {command[0]} in {at}"
        if not self._may_execute:
            raise Terminal(
                "ExecForbidden",
                f"Could not {doing}: exec is switched off.",
                fix="Set rbac.exec: true, or give the workspaces a runtime that answers on /runtime.",
            )
        with translated(doing):
            async with asyncio.timeout(timeout_seconds):
                return await execute(
                    self._opened.configuration, at.path("exec"), container, command, doing=doing
                )

    async def log_tail(self, at: Place, container: str, *, lines: int) -> tuple[str, ...]:
        """Return the last lines that a container of the pod `at` wrote."""
        doing = f"read the log of {at}"
        query = {"container": container, "tailLines": str(lines), "limitBytes": str(_LOG_LIMIT_BYTES)}
        async with self._stream(Call("GET", at.path("log"), doing, query=query)) as log:
            content = await log.read()
        return tuple(content.decode(errors="replace").splitlines())


def _where(namespace: str | None) -> str:
    return namespace or "all namespaces"


def _event(doing: str, told: Mapping[str, Any]) -> Event:
    changed = told["object"]
    if told["type"] == "ERROR":
        raise refused(doing, int(changed.get("code", 500)), json.dumps(changed).encode(), {})
    return Event(told["type"], changed, changed["metadata"]["resourceVersion"])
