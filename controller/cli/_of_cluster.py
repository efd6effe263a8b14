"""What `wsr image`, `why` and `resume` do for an object in a cluster: its status is read, its annotation written.

What only the operator's Secrets open, registry, index, sources and workspaces, is not asked: its status says what it found.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from builder.contract import version_in_tags
from controller.api.annotations import LAST_KNOWN_GOOD
from controller.api.names import (
    ANNOTATION_OWNER,
    ANNOTATION_RESUME,
    ANNOTATION_ROLLBACK_TO,
    LABEL_MANAGED,
    LABEL_TEMPLATE,
)
from controller.api.status import Status, Straggler
from controller.api.stops import Changes
from controller.api.v1alpha1 import Workloads
from controller.cli._cluster import Seen, annotate, look_again, opened
from controller.cli.options import Address
from controller.model.errors import NotFound, Terminal, Waiting
from controller.plan.owners import template_of
from controller.status.summarize import STRAGGLERS_LISTED

if TYPE_CHECKING:
    from controller.clients.kube import KubeCluster

_USUAL_CONTAINER: Final = str(Workloads.model_fields["container"].default)
_LOOK_SECONDS: Final = 0.5
TAKEN_UP_SECONDS: Final = 30.0
"""How long an operator may take to see what it is asked for: it takes part of a second, and is being replaced for some."""


def image_of(template: str, address: Address) -> str:
    """Return the image that a new workspace of a template should use.

    Raises:
        Terminal: the object lists no such template, nothing of it is released yet, or as `_cluster.opened`.
        Transient: the cluster does not answer.
    """
    return asyncio.run(_image(template, address))


async def _image(template: str, address: Address) -> str:
    async with opened(address) as (_, (seen,)):
        known = [each["name"] for each in seen.spec["templates"]]
        if template not in known:
            message = f"WorkspaceRuntime {seen.key} lists no template {template!r}."
            raise Terminal("Invalid", message, fix=f"It lists: {', '.join(known)}.")
        told = next((each for each in seen.status.templates if each.name == template), None)
        if told is None or told.image is None:
            why = f" {told.message}" if told is not None and told.message else ""
            raise Terminal(
                "NotFound",
                f"No released image of template {template} exists yet.{why}",
                fix=f"Look what it waits for: wsr status {seen.name} -n {seen.namespace}",
            )
        return told.image


def facts_of(target: str, address: Address) -> dict[str, Any]:
    """Return what a target runs and where it came from, as far as workload and status tell; what they do not is None.

    Raises:
        Terminal: it is no target of the object, or nothing tells of it; or as `_cluster.opened`.
        Transient: the cluster does not answer.
    """
    return asyncio.run(_why(target, address))


async def _why(target: str, address: Address) -> dict[str, Any]:
    async with opened(address) as (cluster, (seen,)):
        status = seen.status
        if target.startswith("docker/"):
            return _facts(_Target(_listed(target, seen, status).name), seen, status)
        return _facts(await workload_of(cluster, target, seen), seen, status)


@dataclass(frozen=True, slots=True)
class _Target:
    """What is known of a target by itself: of a container of another machine nothing but its name."""

    id: str
    template: str | None = None
    image: str | None = None


def _listed(target: str, seen: Seen, status: Status) -> Straggler:
    """Return what the status says of a target; of one that is up to date it says nothing."""
    for each in status.stragglers:
        if each.name == target:
            return each
    raise Terminal(
        "NotFound",
        f"The status of WorkspaceRuntime {seen.key} does not name {target}: it lists the first {STRAGGLERS_LISTED} targets that do not"
        " run what was asked for.",
        fix="If it is a target it is up to date; what it runs, its host tells: docker inspect.",
    )


async def workload_of(cluster: KubeCluster, target: str, seen: Seen) -> _Target:
    """Return what is known of a workload. Raises Terminal when it is no target of the object."""
    from controller.clients.kube import DEPLOYMENTS, STATEFUL_SETS  # noqa: PLC0415 -- it need not be installed

    kinds = {each.kind.lower(): each for each in (DEPLOYMENTS, STATEFUL_SETS)}
    namespace, kind, name = (*target.split("/"), "", "")[:3]
    entries = seen.spec["targets"].get("workloads", ())
    entry = next((each for each in entries if namespace in each["namespaces"]), None)
    if not name or kind.lower() not in kinds or entry is None:
        where = ", ".join(sorted({each for one in entries for each in one["namespaces"]})) or "none"
        raise Terminal(
            "NotFound",
            f"{target} is no target of WorkspaceRuntime {seen.key}.",
            fix=f"Write NAMESPACE/Deployment/NAME, NAMESPACE/StatefulSet/NAME or docker/HOST/CONTAINER; its namespaces are: {where}.",
        )
    resource = kinds[kind.lower()]
    try:
        found = await cluster.read(resource, namespace, name)
    except NotFound as missing:
        raise Terminal(
            "NotFound", f"{missing}.", fix=f"kubectl get {resource.plural} -n {namespace}"
        ) from None
    _check_ours(found["metadata"], target, seen)
    containers = found["spec"]["template"]["spec"]["containers"]
    wanted = entry.get("container", _USUAL_CONTAINER)
    image = next((each["image"] for each in containers if each["name"] == wanted), None)
    repositories = {each["name"]: each["image"] for each in seen.spec["templates"]}
    named = (found["metadata"].get("labels") or {}).get(LABEL_TEMPLATE)
    template = named or template_of(None, [image] if image else [], repositories)[0]
    return _Target(f"{namespace}/{resource.kind}/{name}", template, image)


def _check_ours(metadata: Mapping[str, Any], target: str, seen: Seen) -> None:
    owner = (metadata.get("annotations") or {}).get(ANNOTATION_OWNER, seen.key)
    if owner != seen.key:
        theirs, _, name = owner.partition("/")
        raise Terminal(
            "NotFound",
            f"{target} is rolled by WorkspaceRuntime {owner}, not by {seen.key}.",
            fix=f"wsr why {target} {name} -n {theirs}",
        )
    if (metadata.get("labels") or {}).get(LABEL_MANAGED) != "true":
        raise Terminal(
            "NotFound",
            f"{target} is no target: its owner has not consented.",
            fix=f"If they do: kubectl label {target.split('/')[1].lower()} {metadata['name']} -n {metadata['namespace']} {LABEL_MANAGED}=true",
        )


def _facts(target: _Target, seen: Seen, status: Status) -> dict[str, Any]:
    straggler = next((each for each in status.stragglers if each.name == target.id), None)
    version = _version_of(target.image, status)
    wanted, package = version == status.resolved_version == seen.version, status.package
    # What is not listed runs what was asked for, as long as all that do not are listed.
    all_listed = len(status.stragglers) < STRAGGLERS_LISTED and not status.held and not seen.behind
    runs = wanted and package is not None and straggler is None and all_listed
    judged = next((each for each in status.history if each.version == version), None)
    return {
        "target": target.id,
        "template": target.template,
        "commit": status.source.commit if wanted and status.source else None,
        "wheelSha256": package.wheel_sha256 if wanted and package else None,
        "image": target.image,
        "wave": status.rollout.wave if status.rollout else None,
        "running": {"version": version, "contentSha256": package.content_sha256}
        if runs and package
        else None,
        "runningUnknown": None if runs else straggler.why if straggler else "the status does not say",
        "verdict": judged.model_dump(mode="json", by_alias=True) if judged else None,
        "next": _next(seen, status, straggler, runs=runs),
    }


def _version_of(image: str | None, status: Status) -> str | None:
    """Return which of the versions that were asked for an immutable tag begins with."""
    tag = (image or "").partition("@")[0].rpartition(":")[2]
    known = {each.version for each in status.history} | {status.resolved_version, status.last_known_good}
    found = [each for each in known if each and tag.startswith(f"{version_in_tags(each)}-")]
    return max(found, key=len, default=None)


def _next(seen: Seen, status: Status, straggler: Straggler | None, *, runs: bool) -> str:
    if straggler is not None:
        return f"It does not run what it should: {straggler.why.rstrip('.')}."
    if runs:
        return f"Nothing; it runs {seen.version} as asked for."
    ready = status.condition("Ready")
    return seen.behind or (ready.message if ready else "")


def roll_back(address: Address, to: str | None) -> str:
    """Ask the operator to go back from the object's version, wait until that is noted, and return one line about it.

    Raises:
        Terminal: there is nothing to go back to, nobody may, or as `_cluster.opened`.
        Transient: the cluster does not answer.
        Waiting: the operator has not taken it up in `TAKEN_UP_SECONDS`; it still may.
    """
    return asyncio.run(_asked(address, ANNOTATION_ROLLBACK_TO, to or LAST_KNOWN_GOOD, "lastHandledRollback"))


def resume(address: Address) -> str:
    """Ask the operator to let the object's version go on, wait until it has, and return one line about it.

    Raises:
        Terminal: nobody may, the object asks for what cannot be done, or as `_cluster.opened`.
        Transient: the cluster does not answer.
        Waiting: the operator has not taken it up in `TAKEN_UP_SECONDS`; it still may.
    """
    return asyncio.run(_asked(address, ANNOTATION_RESUME, None, "lastHandledResume"))


async def _asked(address: Address, annotation: str, version: str | None, answer: str) -> str:
    """Write a request that begins with a version, or else the object's, and wait for its answer in the status."""
    async with opened(address) as (cluster, (seen,)):
        about = f"{version} from {seen.version}" if version else seen.version
        request = f"{about} {datetime.now(UTC).isoformat(timespec='milliseconds')}"
        await annotate(cluster, seen, lambda _: _request(annotation, request))
        now, deadline = seen, time.monotonic() + TAKEN_UP_SECONDS
        while time.monotonic() < deadline:
            now = await look_again(cluster, seen)
            told: Mapping[str, Any] = now.found.get("status") or {}
            if told.get(answer) == request:
                return _taken_up(annotation, now)
            if annotation == ANNOTATION_ROLLBACK_TO and (why := told.get("rollbackRefused")):
                await annotate(cluster, now, lambda found: _withdrawn(found, annotation, request))
                raise Terminal(
                    "RollbackRefused", why, fix="Nothing was changed. Name another one with --to VERSION."
                )
            await asyncio.sleep(_LOOK_SECONDS)
        ready = now.status.condition("Ready")
        raise Waiting(
            f"the operator of {seen.key} to take up annotation {annotation}, which stays"
            f"{f'; Ready is {ready.status}: {ready.message}' if ready else ''}",
            retry_after=TAKEN_UP_SECONDS,
        )


def _request(annotation: str, request: str) -> Changes:
    return {annotation: request}


def _withdrawn(found: Mapping[str, str], annotation: str, request: str) -> Changes:
    return {annotation: None} if found.get(annotation) == request else {}


def _taken_up(annotation: str, seen: Seen) -> str:
    if annotation == ANNOTATION_RESUME:
        return f"What stopped {seen.version} is tried again."
    return f"{seen.status.held or 'It is taken up.'}"
