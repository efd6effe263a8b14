"""A push to a registry until a running loop has seen it: the registry's own notification, the hook, and a whole look."""

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from builder.oci import Blob, Client, MediaType, Reference, canonical_json, sha256_digest
from controller.admin.server import Address, Loop, serving
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Action
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.reconcile.loop import Reconciler
from controller.standalone.session import open_session
from controller.standalone.world import StandaloneWorld
from tests.bench.figures import Figure, at_most
from tests.bench.site import Site, listed, say
from tests.parts.index import running_pypiserver
from tests.parts.registry import running_registry
from tests.parts.servers import free_port

PUSHES = 15
TEMPLATES = 8
_APART_SECONDS = 2.0
_PATIENCE_SECONDS = 30.0
_HOW = (
    "a manifest is pushed to one of eight moving tags of a real registry, which notifies the hook of a running loop:"
    " from before the push until a look at engine, index, records and all tags has seen it; median"
)


def measure(site: Site) -> list[Figure]:
    """One push after the other while the loop has nothing to do."""
    folder = site.folder / "hook"
    try:
        seconds = asyncio.run(_seconds(folder, site.engine))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(f"hook: {listed(seconds)} s")
    return [
        Figure.middle("hook.seconds", seconds, how=_HOW, bar=at_most(0.3)),
        Figure.largest("hook.secondsMax", seconds, how="the largest of the same"),
    ]


async def _seconds(folder: Path, engine: str) -> list[float]:
    secret, at = secrets.token_hex(16), Address("127.0.0.1", free_port())
    async with AsyncExitStack() as stack:
        hook = (f"http://{at}/hooks/registry", secret)
        registry = stack.enter_context(running_registry(folder / "registry", notified=hook))
        index = stack.enter_context(running_pypiserver(folder / "index", address="127.0.0.1"))
        file = _document(folder, registry=registry, index=index.simple_url, engine=engine)
        session = await stack.enter_async_context(
            open_session(file, state=folder / "state", secrets=folder / "secrets")
        )
        seeing = _Seeing(session.world)
        loop = Reconciler(session.store, seeing, asyncio.Event())
        await stack.enter_async_context(serving(at, secret=secret, loop=Loop(loop.look_anew, lambda: None)))
        client = await stack.enter_async_context(Client(insecure=True))
        await stack.enter_async_context(_running(loop))
        return [await _noticed(client, seeing, registry, number) for number in range(PUSHES)]


@dataclass
class _Seeing:
    """The world of one machine; tells when a digest is seen under any tag."""

    world: StandaloneWorld
    seen: asyncio.Condition = field(default_factory=asyncio.Condition)
    digests: frozenset[str] = frozenset()

    async def observe(
        self,
        document: WorkspaceRuntime,
        *,
        earlier: Observation | None,
        record: bool = False,
        settled: Collection[str] = (),
    ) -> Observation:
        observation = await self.world.observe(document, earlier=earlier, record=record, settled=settled)
        assert isinstance(observation.images, Known), observation.images
        async with self.seen:
            self.digests = frozenset(observation.images.value.values())
            self.seen.notify_all()
        return observation

    async def perform(self, document: WorkspaceRuntime, action: Action) -> str:
        raise AssertionError(f"nothing was to be done for {document.key}, and {action} was planned")

    def waits(self) -> dict[str, str]:
        return {}


async def _noticed(client: Client, seeing: _Seeing, registry: str, number: int) -> float:
    """Seconds from the push of a manifest that nobody has seen until a look has."""
    await asyncio.sleep(_APART_SECONDS)
    reference = Reference.parse(f"{registry}/t{number % TEMPLATES}:latest")
    blob = Blob("text/plain", secrets.token_bytes(16))
    await client.ensure_blob(reference, blob.data, digest=blob.descriptor.digest)
    document = {
        "schemaVersion": 2,
        "mediaType": MediaType.OCI_MANIFEST,
        "config": blob.descriptor.to_document(),
        "layers": [],
    }
    raw = canonical_json(document)
    begun = time.monotonic()
    await client.put_manifest(reference, raw, MediaType.OCI_MANIFEST)
    async with asyncio.timeout(_PATIENCE_SECONDS), seeing.seen:
        await seeing.seen.wait_for(lambda: sha256_digest(raw) in seeing.digests)
    return time.monotonic() - begun


@asynccontextmanager
async def _running(loop: Reconciler) -> AsyncIterator[None]:
    task = asyncio.create_task(loop.run_forever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _document(folder: Path, *, registry: str, index: str, engine: str) -> Path:
    """A suspended object: it is looked at as any other, and nothing is done for it."""
    for name in ("source", "secrets", *(f"t{number}" for number in range(TEMPLATES))):
        (folder / name).mkdir(parents=True)
    (folder / "source" / "main.py").write_text('"""Nothing."""\n')
    templates: list[dict[str, Any]] = []
    for number in range(TEMPLATES):
        (folder / f"t{number}" / "Dockerfile").write_text("FROM scratch\n")
        image = {"name": f"t{number}", "image": f"{registry}/t{number}", "build": {"directory": f"t{number}"}}
        templates.append(image)
    host = {"name": "local", "endpoint": engine, "containerPrefix": "wsr-bench-nobody-"}
    document = {
        "apiVersion": "runtime.molecule.ai/v1alpha1",
        "kind": "WorkspaceRuntime",
        "metadata": {"name": "bench"},
        "spec": {
            "version": "0.1.0",
            "suspend": True,
            "source": {"directory": "source"},
            "package": {"index": {"uploadURL": index, "simpleURL": index}},
            "registry": {"mode": "Remote", "artifacts": f"{registry}/artifacts", "insecure": True},
            "templates": templates,
            "targets": {"dockerHosts": [host]},
        },
    }
    file = folder / "runtime.yaml"
    file.write_text(yaml.safe_dump(document))
    return file
