"""What a cascade's run is given: its inputs as a file, and the wheel and the inventories beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.clients.checkouts import Checkout
from controller.clients.parts import Parts
from controller.clients.registry_config import registry_access, registry_hosts
from controller.model.actions import TemplateBuild
from controller.model.errors import NotFound
from controller.model.record import ReleaseRecord
from controller.model.record_part import Artifact
from controller.model.template_record import FullBuild, PlatformImage
from controller.settings import INDEX_CA


@dataclass(frozen=True, slots=True)
class Known:
    """What is recorded of a template's last images: our full build, and the images of an index by platform."""

    full_build: FullBuild | None
    platforms: Mapping[str, PlatformImage]


async def write_inputs(  # noqa: PLR0913 -- each is one part of the document that the run is given
    parts: Parts,
    document: WorkspaceRuntime,
    builds: Iterable[TemplateBuild],
    *,
    record: ReleaseRecord,
    known: Mapping[str, Known],
    folders: Mapping[str, Checkout],
    folder: Path,
) -> tuple[Path, ...]:
    """Write the run's inputs, and return where they are and what they name, the document itself first."""
    wheel = folder / record.wheel.file
    await _write(wheel, await parts.records.get_blob(record.wheel))
    spec = document.spec
    templates = {template.name: template for template in spec.templates}
    content: dict[str, Any] = {
        "version": record.version,
        "wheel": str(wheel),
        "wheelSha256": record.wheel.sha256,
        "contentSha256": record.content_sha256,
        "mode": spec.registry.mode,
        "registry": registry_access(
            spec.registry, parts.settings, hosts=registry_hosts(document), folder=folder
        ),
        "index": {"url": spec.package.index.simple_url, "caFile": index_ca(parts, document)},
        "templates": [
            await _template(
                parts,
                templates[build.template],
                build,
                known[build.template],
                source=folders.get(build.template),
                folder=folder,
            )
            for build in builds
        ],
    }
    path = folder / "inputs.json"
    await _write(path, json.dumps(content, indent=1).encode())
    return (path, wheel, *map(Path, _named(content["templates"])))


def _named(templates: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the files and folders that the templates in a run's inputs name."""
    for template in templates:
        if "directory" in template:
            yield template["directory"]
        known = (template.get("fullBuild"), *(each["known"] for each in template.get("otherPlatforms", ())))
        yield from (each["inventory"] for each in known if each and each["inventory"])


async def _template(  # noqa: PLR0913 -- what is known of one template, and the run's own folder
    parts: Parts,
    template: Template,
    build: TemplateBuild,
    known: Known,
    *,
    source: Checkout | None,
    folder: Path,
) -> dict[str, Any]:
    platform, others = await parts.platforms(template.build)
    if source is None:
        served = f"{template.image}:{template.tags[0]}"
        shadow = {"image": served, "digest": build.base}
        return {"name": template.name, "image": template.image, "platform": platform, "shadowOf": shadow}
    full_build = known.full_build
    return {
        "name": template.name,
        "image": template.image,
        "directory": str(source.folder),
        "buildArgs": template.build.args,
        "platform": platform,
        "inputsSha256": build.inputs_sha256,
        "rebuild": build.rebuild,
        "fresh": build.fresh,
        "bases": dict(build.bases),
        "request": build.request or "",
        "reason": build.reason,
        "before": build.before,
        "after": build.after,
        "always": template.build.strategy == "Dockerfile",
        "fullBuild": full_build
        and {
            "image": full_build.image,
            "digest": full_build.digest,
            "inputsSha256": full_build.inputs_sha256,
            "inventory": await _inventory(
                parts, full_build.inventory, folder / f"inventory-{template.name}.json"
            ),
        },
        "otherPlatforms": [
            {
                "platform": other,
                "fullBuild": template.build.full_build,
                "known": await _foreign(
                    parts, known.platforms.get(other), folder / f"inventory-{template.name}-{number}.json"
                ),
            }
            for number, other in enumerate(others)
        ],
    }


async def _foreign(parts: Parts, known: PlatformImage | None, file: Path) -> dict[str, str | None] | None:
    if known is None or known.full_build is None:
        return None
    inventory = await _inventory(parts, known.full_build.inventory, file)
    return {"digest": known.full_build.digest, "inventory": inventory}


async def _inventory(parts: Parts, kept: Artifact | None, file: Path) -> str | None:
    """Return where the kept inventory of a full build now is; None when it has to be taken anew."""
    if kept is None:
        return None
    try:
        await _write(file, await parts.records.get_blob(kept))
    except NotFound:
        return None
    return str(file)


def index_ca(parts: Parts, document: WorkspaceRuntime) -> str | None:
    name = document.spec.package.index.ca_secret_name
    file = parts.settings.ca_file(name, field=INDEX_CA)
    return str(file) if file else None


async def _write(path: Path, content: bytes) -> None:
    def write() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    await asyncio.to_thread(write)
