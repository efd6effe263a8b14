"""What the document says of a template's probe, as the order for the image that the plan wants proven."""

from __future__ import annotations

from controller.api.quantity import memory_bytes, nano_cpus
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.actions import Probe
from controller.model.probe import ModelUse, ProbeOrder, ProbeSettings
from controller.model.record import ReleaseRecord


def order_of(
    document: WorkspaceRuntime,
    template: Template,
    record: ReleaseRecord,
    action: Probe,
    *,
    platform: str | None,
) -> ProbeOrder:
    """Return the order to prove the image of `action` as `record`'s version of `template`, on `platform`."""
    wanted = template.probe
    image, digests = _image(template, record, action)
    limits, security = wanted.resources.limits, wanted.security_context
    return ProbeOrder(
        owner=document.key,
        template=template.name,
        image=image,
        version=record.version,
        content_sha256=record.content_sha256,
        start_deadline_seconds=template.start_deadline_seconds,
        digests=digests,
        platform=platform,
        model=ModelUse(wanted.model),
        settings=ProbeSettings(
            environment={variable.name: variable.value for variable in wanted.env},
            config_map=wanted.config_map_name,
            user=None if security.run_as_user is None else str(security.run_as_user),
            read_only_root=security.read_only_root_filesystem,
            memory_bytes=None if limits.memory is None else memory_bytes(limits.memory),
            nano_cpus=None if limits.cpu is None else nano_cpus(limits.cpu),
        ),
    )


def _image(template: Template, record: ReleaseRecord, action: Probe) -> tuple[str, frozenset[str]]:
    """Return what to boot, and by which digests whoever boots it may call it."""
    if action.delivered is not None:
        return f"{template.image}@{action.digest}", frozenset({action.digest, action.delivered.image_id})
    recorded = (record.templates if template.build.ours else record.shadows)[template.name]
    return recorded.exact, recorded.digests
