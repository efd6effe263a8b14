"""Records that a version runs everywhere and is good: what a later rollback returns to."""

from __future__ import annotations

from datetime import UTC, datetime

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.host_tags import let_hosts_follow
from controller.clients.parts import Parts
from controller.model.actions import Judge
from controller.model.record import Verdict
from controller.plan.outcome import judged_time, with_good
from controller.plan.tags import moving_tags


async def judge(parts: Parts, document: WorkspaceRuntime, action: Judge) -> str:
    """Write the verdict Good, and let the hosts' own tags of what somebody else delivered follow.

    Whoever builds such an image moves its tags in the registry, so that no promotion comes by the hosts.

    Raises:
        Transient, Terminal: as `RecordStore` does, or a host's image could not be pulled.
    """
    records = await parts.records.records()
    used = records[action.version].in_use.templates
    tags = [
        (template.name, tag)
        for template in document.spec.templates
        if not template.build.ours and template.name in used and used[template.name].identity in action.images
        for tag in moving_tags(template, action.version)
    ]
    await let_hosts_follow(parts, document, tags, used)
    time = judged_time(records, action.version, now=datetime.now(UTC))
    verdict = Verdict(value="Good", reason="UpToDate", message=action.reason, time=time, images=action.images)
    await parts.amend(action.version, lambda record: with_good(record, verdict))
    return f"{action.version} is the last known good"
