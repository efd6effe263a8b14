"""Records, targets and observations for tests of one decision at a time."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.model.container import ContainerState
from controller.model.observation import Observation
from controller.model.observed import Known, Unknown
from controller.model.package import IndexFile, Release, ServedPackage
from controller.model.record import ReleaseRecord, Verdict
from controller.model.record_part import Artifact
from controller.model.running import RuntimeReport, RuntimeState
from controller.model.target import Phase, Succession, Target
from controller.model.template_record import FullBuild, TemplateInputs, TemplateRecord
from tests.unit.simulator.box import image_id, parts_of
from tests.unit.simulator.ground import TEMPLATES, sha
from tests.unit.simulator.virtual_time import NOON

AWAY = Unknown("it is away", datetime(2026, 5, 1, tzinfo=UTC))
TREE = sha("tree")


def inputs(template: str) -> str:
    return sha(f"inputs of {template}")


def template_inputs(sha256: str, **changes: Any) -> TemplateInputs:  # noqa: ANN401 -- any field
    """What a folder holds whose hash is `sha256`, with all parts of its own unless `changes` say otherwise."""
    return parts_of(sha256).model_copy(update=changes)


def image(version: str, template: str) -> str:
    return image_id(template, sha(f"wheel {version}"), inputs(template))


def full_build(name: str, digest: str = image_id("any", "wheel", "on"), **changes: Any) -> FullBuild:  # noqa: ANN401 -- any field
    fields = {
        "image": f"ws/{name}:full",
        "digest": digest,
        "inputs_sha256": inputs(name),
        "inputs": template_inputs(inputs(name)),
        **changes,
    }
    return FullBuild(**fields)


def template_record(version: str, name: str, **changes: Any) -> TemplateRecord:  # noqa: ANN401 -- any field
    identity = image(version, name)
    fields = {
        "image": f"ws/{name}:{version}-nocommi-00000000",
        "image_id": identity,
        "full_build": full_build(name, identity),
        "reason": "WheelChanged",
        "proven": True,
        **changes,
    }
    return TemplateRecord(**fields)


def verdict(value: str, minute: int = 0, reason: str = "UpToDate") -> Verdict:
    return Verdict.model_validate(
        {
            "value": value,
            "reason": reason,
            "message": f"It is {value.lower()}.",
            "time": NOON + timedelta(minutes=minute),
        }
    )


def record(version: str = "0.1.0", **changes: Any) -> ReleaseRecord:  # noqa: ANN401 -- any field
    """A record of a version that is through with everything, unless `changes` say otherwise."""
    fields = {
        "package": "molecule-ai-workspace-runtime",
        "version": version,
        "publisher": "default/molecule-runtime",
        "tree_sha256": TREE,
        "wheel": Artifact(file=f"x-{version}-py3-none-any.whl", sha256=sha(f"wheel {version}"), size=1),
        "content_sha256": sha(f"content {version}"),
        "templates": {name: template_record(version, name) for name in TEMPLATES},
        "published_time": NOON,
        "verdict": verdict("Good"),
        **changes,
    }
    return ReleaseRecord(**fields)


def target(name: str = "ws-1", version: str | None = "0.1.0", **changes: Any) -> Target:  # noqa: ANN401 -- any field
    """A container that runs `version` and says so."""
    template = changes.pop("template", "echo")
    busy = changes.pop("busy", False)
    report = RuntimeReport(
        package="molecule-ai-workspace-runtime",
        version=version or "",
        content_sha256=sha(f"content {version}"),
        state=RuntimeState.SERVING,
        active_tasks=int(busy),
        queued_tasks=0,
    )
    fields = {
        "id": f"docker/local/{name}",
        "host": "local",
        "name": name,
        "template": template,
        "template_unknown": None,
        "container_id": sha(name)[:12],
        "image": f"ws/{template}",
        "image_id": image(version or "", template or ""),
        "state": ContainerState.RUNNING,
        "running": Known(report) if version else AWAY,
        **changes,
    }
    return Target(**fields)


def succession(phase: Phase, version: str = "0.1.1", template: str = "echo") -> Succession:
    return Succession(phase, "old", "new", image(version, template), version, sha(f"content {version}"))


def release(version: str) -> Release:
    wheel = IndexFile(f"x-{version}-py3-none-any.whl", "http://index/x.whl", sha(f"wheel {version}"))
    return Release(version, (wheel,))


def on_index(*versions: str) -> Known[ServedPackage]:
    """The index, read: it serves these versions of the package and no other."""
    return Known(
        ServedPackage("molecule-ai-workspace-runtime", {version: release(version) for version in versions})
    )


def served(*records: ReleaseRecord, latest: str | None = None) -> Mapping[str, str]:
    """The images of `records` by their references; the moving tags name those of version `latest`."""
    images = {}
    for each in records:
        for name, template in each.templates.items():
            images[template.image] = template.identity
            if each.version == latest:
                images[f"ws/{name}:latest"] = template.identity
    return images


def observation(*records: ReleaseRecord, **changes: Any) -> Observation:  # noqa: ANN401 -- any field
    """A world with `records` and all their images, the moving tags at the last of them, and no targets."""
    latest = records[-1].version if records else None
    fields = {
        "source": Known(TREE),
        "index": on_index(),
        "records": Known({each.version: each for each in records}),
        "images": Known(served(*records, latest=latest)),
        "templates": {name: Known(template_inputs(inputs(name))) for name in TEMPLATES},
        "targets": Known(()),
        **changes,
    }
    return Observation(**fields)
