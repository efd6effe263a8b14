"""The Secrets of one object: read where its namespace allows it, and kept as files in memory as one machine keeps them.

So everything that takes a Secret of one machine takes one of a cluster, and nothing else of this process can be taken for
one. Only names that the object uses are read, one by one; the watch sees those alone that carry the label.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from itertools import groupby
from pathlib import Path
from typing import Final

from controller.api.conditions import Reason
from controller.api.names import ANNOTATION_HOSTS, LABEL_USE
from controller.clients.kube import SECRETS, JsonObject, KubeCluster, Listed
from controller.clients.kube_follow import follow
from controller.model.errors import NotFound, Terminal
from controller.operator.secret_uses import Purpose, SecretUse

_SPARED: Final = frozenset({Purpose.DOCKER_HOST, Purpose.NOTIFICATION})
"""Purposes without whose Secrets the rest of an object goes on."""


class ObjectSecrets:
    """What one object may use of the Secrets in its namespace, as files below `folder`."""

    def __init__(self, cluster: KubeCluster, namespace: str, folder: Path) -> None:
        self.folder = folder
        self.changed = asyncio.Event()
        """Set when a Secret that is used has come, changed or gone."""
        self.known: frozenset[str] = frozenset()
        """What must not show anywhere."""
        self.withheld: dict[str, Terminal] = {}
        """Why a Secret cannot be had that only the targets of one host, or people who want to know, need, by its name."""
        self._cluster = cluster
        self._namespace = namespace
        self._used: dict[str, str | None] = {}

    async def provide(self, uses: Sequence[SecretUse]) -> None:
        """Write the files of every Secret that is used, and remove all others; some may be `withheld`.

        Raises:
            Terminal: SecretNotFound, SecretNotAllowed (not labelled for this, or not for such a host).
            Transient: the server does not answer.
        """
        self._used = {use.name: None for use in uses}
        self.withheld = {}
        found: dict[str, Mapping[str, bytes]] = {}
        for name, group in groupby(sorted(uses, key=lambda use: use.name), key=lambda use: use.name):
            of_this = list(group)
            try:
                found[name] = await self._allowed(name, of_this)
            except Terminal as problem:
                if any(use.purpose not in _SPARED for use in of_this):
                    raise
                self.withheld[name] = problem
        self.known = frozenset(text for files in found.values() for text in _texts(files))
        self._write(found)

    async def _allowed(self, name: str, uses: Sequence[SecretUse]) -> Mapping[str, bytes]:
        secret = await self._read(uses[0])
        if LABEL_USE in (secret["metadata"].get("labels") or {}):  # else the watch does not see it
            self._used[name] = secret["metadata"]["resourceVersion"]
        for use in uses:
            self._check(use, secret)
        return dict(_content(secret))

    async def watch(self) -> None:
        """Set `changed` whenever a Secret that is used differs from what was provided; runs until cancelled.

        Raises:
            Terminal: they may not be watched.
        """
        async with aclosing(follow(self._cluster, SECRETS, self._namespace, labels=LABEL_USE)) as changes:
            async for news in changes:
                if isinstance(news, Listed):
                    seen = {item["metadata"]["name"]: item for item in news.items}
                    self._compare({name: _version(seen.get(name)) for name in self._used})
                else:
                    gone = news.kind == "DELETED"
                    self._compare({news.object["metadata"]["name"]: None if gone else _version(news.object)})

    def close(self) -> None:
        """Remove all files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _compare(self, versions: Mapping[str, str | None]) -> None:
        if any(name in self._used and self._used[name] != version for name, version in versions.items()):
            self.changed.set()

    async def _read(self, use: SecretUse) -> JsonObject:
        try:
            return await self._cluster.read(SECRETS, self._namespace, use.name)
        except NotFound:
            hosts = f" and annotation {ANNOTATION_HOSTS}={_listed(use.hosts)}" if use.hosts else ""
            raise Terminal(
                Reason.SECRET_NOT_FOUND,
                f"{use.field} names Secret {use.name}, which is not in namespace {self._namespace}.",
                fix=f"Create it there, with label {LABEL_USE}={use.purpose}{hosts}.",
            ) from None

    def _check(self, use: SecretUse, secret: JsonObject) -> None:
        metadata = secret["metadata"]
        named = f"{use.field} names Secret {use.name}"
        at = f"-n {self._namespace} {use.name} --overwrite"
        label = (metadata.get("labels") or {}).get(LABEL_USE)
        if label != use.purpose:
            is_for = f"is labelled for {label}" if label else "carries no label"
            raise Terminal(
                Reason.SECRET_NOT_ALLOWED,
                f"{named}, which {is_for} and is needed for {use.purpose}.",
                fix=f"If its owner agrees: kubectl label secret {at} {LABEL_USE}={use.purpose}",
            )
        told = (metadata.get("annotations") or {}).get(ANNOTATION_HOSTS, "")
        allowed = frozenset(each.strip() for each in told.split(",") if each.strip())
        if missing := use.hosts - allowed:
            raise Terminal(
                Reason.SECRET_NOT_ALLOWED,
                f"{named}, which must not be sent to {_listed(missing)}.",
                fix=f"If its owner agrees: kubectl annotate secret {at} {ANNOTATION_HOSTS}={_listed(allowed | missing)}",
            )

    def _write(self, found: Mapping[str, Mapping[str, bytes]]) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stale in {path.name for path in self.folder.iterdir()} - found.keys():
            shutil.rmtree(self.folder / stale)
        for name, files in found.items():
            folder = self.folder / name
            folder.mkdir(mode=0o700, exist_ok=True)
            for stale in {path.name for path in folder.iterdir()} - files.keys():
                (folder / stale).unlink()
            for key, content in files.items():
                _write_file(folder / key, content)


def _version(secret: JsonObject | None) -> str | None:
    return None if secret is None else str(secret["metadata"]["resourceVersion"])


def _listed(hosts: Collection[str]) -> str:
    return ",".join(sorted(hosts))


def _content(secret: JsonObject) -> Iterator[tuple[str, bytes]]:
    for key, value in (secret.get("data") or {}).items():
        yield key, base64.b64decode(value)


def _write_file(path: Path, content: bytes) -> None:
    """Write a file that its owner alone may read; whoever reads it meanwhile gets the old content or the new one."""
    if path.exists() and path.read_bytes() == content:
        return
    aside = path.with_name(f".{path.name}.new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    aside.replace(path)


def _texts(files: Mapping[str, bytes]) -> Iterator[str]:
    """Yield what is secret in the files of one Secret, as it could show in a text; certificates and names are not."""
    for key, content in files.items():
        text = content.decode(errors="replace").strip()
        if key in {"username", "ca.crt", "tls.crt", "known_hosts"} or not text:
            continue
        yield text
        if key == ".dockerconfigjson":
            yield from _passwords(text)


def _passwords(docker_config: str) -> Iterator[str]:
    try:
        entries = list(json.loads(docker_config)["auths"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        yield from (str(entry[key]) for key in ("password", "auth", "identitytoken") if entry.get(key))
        try:
            yield base64.b64decode(str(entry.get("auth", ""))).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            continue
