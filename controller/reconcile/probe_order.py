"""What the document says of a template's probe, as the order for one image."""

from __future__ import annotations

from controller.api.quantity import memory_bytes, nano_cpus
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.probe import ModelUse, ProbeOrder, ProbeSettings
from controller.model.record import ReleaseRecord


def order_of(
    document: WorkspaceRuntime, template: Template, record: ReleaseRecord, *, image: str
) -> ProbeOrder:
    """Return the order to prove `image` as `record`'s version of `template`."""
    wanted = template.probe
    limits, security = wanted.resources.limits, wanted.security_context
    return ProbeOrder(
        owner=document.key,
        template=template.name,
        image=image,
        version=record.version,
        content_sha256=record.content_sha256,
        start_deadline_seconds=template.start_deadline_seconds,
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
