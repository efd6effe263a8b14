"""Reads the targets of one Docker Engine: which containers a document rolls, what they run, what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from controller.api.names import LABEL_CREATE_SPEC, LABEL_HOLD, LABEL_PIN
from controller.clients.docker import DockerEngine
from controller.clients.workspace import Place, Workspaces
from controller.model.container import NEXT_PREFIX, PREV_PREFIX, ContainerState, ContainerSummary
from controller.model.create_spec import CreateRecord, RestartPolicy
from controller.model.errors import NotFound, Transient
from controller.model.observed import Known, Observed, Unknown
from controller.model.running import RuntimeReport
from controller.model.target import Phase, Succession, Target
from controller.observe._sightings import Sightings
from controller.plan.carry_over import unsafe_shape
from controller.plan.owners import is_named, template_of
from controller.plan.replacement import interim_names
from controller.plan.replacement_facts import Member
from controller.plan.units import Unit, find_units

__all__ = ["Sightings", "observe"]

Json = Mapping[str, Any]

_LOOKS: Final = 3
_REPORT_SECONDS: Final = 20.0
"""For one workspace, exec included; one that takes longer is unknown in this pass."""
_BEING_REPLACED: Final = "it is being replaced"


async def observe(  # noqa: PLR0913 -- what a document says of a host, and what was seen of it
    engine: DockerEngine,
    *,
    prefix: str,
    selector: Mapping[str, str],
    templates: Mapping[str, str],
    package: str | None = None,
    sightings: Sightings | None = None,
    switching: Collection[str] = (),
) -> tuple[Target, ...]:
    """Return the targets of `engine`, sorted by name.

    Args:
        engine: whose `host` goes into the targets' ids.
        prefix: what a target's name begins with; the interim names of a replacement never count as names.
        selector: labels that a target carries; empty takes all.
        templates: image repository by template name.
        package: the name whose metadata tells the version of a runtime without `/runtime`.
        sightings: what earlier passes saw; without it every target is read anew.
        switching: names whose old container a replacement of ours has begun to stop. What ends there was ended by that,
            and whoever asked there now would wait for an address that nobody has; nothing is decided before it is over.

    Raises:
        Transient: the engine did not answer: nothing is known of its targets.
    """
    sightings = Sightings() if sightings is None else sightings
    listed = await _settled(engine, prefix, switching)
    listed_time = datetime.now(UTC)
    sightings.begin(templates, listed_time)
    units = [unit for name, unit in sorted(find_units(listed).items()) if name.startswith(prefix)]
    async with Workspaces(engine, package=package) as workspaces:
        reading = _Reading(engine, workspaces, templates, listed, listed_time, sightings, switching)
        found = await asyncio.gather(
            *(
                reading.target(unit, serving)
                for unit in units
                if (serving := _serving(unit)) is not None and selector.items() <= serving.labels.items()
            )
        )
    return tuple(target for target in found if target is not None)


async def _settled(
    engine: DockerEngine, prefix: str, switching: Collection[str]
) -> tuple[ContainerSummary, ...]:
    """Return the engine's list when no target in it was ended by the engine itself, which shuts down.

    Raises:
        Transient: the engine does not take connections any more, or its containers keep ending.
    """
    listed = await engine.containers()
    for _ in range(_LOOKS):
        ended = _ended(listed, prefix, switching)
        if not ended:
            return listed
        await engine.prove_up()
        listed = await engine.containers()
        if _ended(listed, prefix, switching) <= ended:
            return listed
    raise Transient(f"The containers of engine {engine.host} end while they are looked at")


def _ended(listed: Iterable[ContainerSummary], prefix: str, switching: Collection[str]) -> frozenset[str]:
    names = ((one, one.name.removeprefix(NEXT_PREFIX).removeprefix(PREV_PREFIX)) for one in listed)
    return frozenset(
        one.id
        for one, name in names
        if one.state.has_ended and name.startswith(prefix) and name not in switching
    )


def _serving(unit: Unit) -> ContainerSummary | None:
    """Return the container that a target stands for: the holder of its name, else the one that will be it again."""
    if unit.foreign is not None:
        return unit.foreign
    if unit.new is not None and unit.new.name == unit.name:
        return unit.new
    return unit.old or unit.stranded


@dataclass(slots=True)
class _Reading:
    """One pass over one engine."""

    engine: DockerEngine
    workspaces: Workspaces
    templates: Mapping[str, str]
    listed: Iterable[ContainerSummary]
    listed_time: datetime
    sightings: Sightings
    switching: Collection[str]
    _sharers: dict[str, list[str]] = field(default_factory=dict)
    _images: dict[str, asyncio.Task[Json | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.listed:
            if one.network_of is not None:
                self._sharers.setdefault(one.network_of, []).append(one.name)

    async def target(self, unit: Unit, serving: ContainerSummary) -> Target | None:
        """Return the target, or None when its container vanished meanwhile."""
        sharers = self._sharers.get(serving.id, ())
        known = self.sightings.recall(unit, sharers) or self._amid_ours(unit, serving)
        if known is not None:
            return known
        target = await self._look(unit, serving)
        if target is not None:
            self.sightings.keep(target, unit, sharers, since=self.listed_time)
        return target

    def _amid_ours(self, unit: Unit, serving: ContainerSummary) -> Target | None:
        """Return a target that a replacement of ours is at, from the list and what was seen before: nothing is decided about it yet."""
        last = self.sightings.last(unit.name) if unit.name in self.switching else None
        succession = _succession(unit)
        if last is None or succession is None or not last.is_running:
            return None
        return replace(
            last,
            container_id=serving.id,
            image=serving.image,
            image_id=serving.image_id,
            state=serving.state,
            running=Unknown(_BEING_REPLACED, datetime.now(UTC)),
            shape_unsafe=None,
            succession=succession,
            has_create_spec=last.has_create_spec or serving is unit.new,
        )

    async def _look(self, unit: Unit, serving: ContainerSummary) -> Target | None:
        try:
            running = await self._report(unit, serving)
            inspection = await self.engine.inspect_container(serving.id)
        except NotFound:
            return None
        if isinstance(running, Known) and not self._same_process(inspection):
            # NOTE: An address passes on the moment its container ends: somebody else may have answered.
            running = Unknown("it was started again while it was asked", datetime.now(UTC))
        template, unknown = await self._template(serving, inspection)
        succession = _succession(unit, inspection)
        under_way = succession is not None and succession.phase is not Phase.AWAITING_FIRST_START
        return Target(
            id=f"docker/{self.engine.host}/{unit.name}",
            host=self.engine.host,
            name=unit.name,
            template=template,
            template_unknown=unknown,
            container_id=serving.id,
            image=str(inspection["Config"]["Image"]),
            image_id=serving.image_id,
            state=serving.state,
            running=running,
            hold=serving.labels.get(LABEL_HOLD),
            pin=serving.labels.get(LABEL_PIN),
            # What was begun is finished or undone whatever its shape, and is looked at often.
            shape_unsafe=_interim_left(unit)
            or (None if under_way else await self._unsafe(serving, inspection)),
            succession=succession,
            has_create_spec=CreateRecord.from_label(serving.labels.get(LABEL_CREATE_SPEC)) is not None,
            labels=serving.labels,
        )

    def _same_process(self, inspection: Json) -> bool:
        """Whether the process that runs now ran when the engine was listed; clocks agree on one machine only."""
        member = Member.of(inspection)
        if not self.engine.is_local:
            return True
        return (
            member.state is ContainerState.RUNNING
            and member.started_at is not None
            and member.started_at <= self.listed_time
        )

    async def _report(self, unit: Unit, serving: ContainerSummary) -> Observed[RuntimeReport]:
        """Return what the workspace says of itself.

        Not by exec of a successor that starts: its replacement asks it, and every pass that did so as well would take
        its processor time and wait for it.
        """
        starts = unit.old is not None and serving is unit.new
        if serving.state is not ContainerState.RUNNING:
            return Unknown(f"the container is {serving.state}", datetime.now(UTC))
        if unit.name in self.switching:
            return Unknown(_BEING_REPLACED, datetime.now(UTC))
        try:
            async with asyncio.timeout(_REPORT_SECONDS):
                return await self.workspaces.report(Place.of_summary(serving), by_exec=not starts)
        except TimeoutError:
            return Unknown(f"no answer within {_REPORT_SECONDS:g} s", datetime.now(UTC))

    async def _template(self, serving: ContainerSummary, inspection: Json) -> tuple[str | None, str | None]:
        record = CreateRecord.from_label(serving.labels.get(LABEL_CREATE_SPEC))
        references = [str(inspection["Config"]["Image"])]
        if record is None and not is_named(references[0]):
            image = await self._image(serving.image_id) or {}
            references += [*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ())]
        return template_of(record, references, self.templates)

    async def _unsafe(self, serving: ContainerSummary, inspection: Json) -> str | None:
        return unsafe_shape(
            inspection,
            old_image_known=await self._image(serving.image_id) is not None,
            link_consumers=serving.link_consumers,
            network_sharers=self._sharers.get(serving.id, ()),
        )

    async def _image(self, image_id: str) -> Json | None:
        """Return the image, or None when it is gone; each is asked for once, at most, per pass."""
        known = self.sightings.image(image_id)
        if known is not None:
            return known
        if image_id not in self._images:
            self._images[image_id] = asyncio.ensure_future(self._inspect_image(image_id))
        return await asyncio.shield(self._images[image_id])

    async def _inspect_image(self, image_id: str) -> Json | None:
        with suppress(NotFound):
            image = await self.engine.inspect_image(image_id)
            self.sightings.keep_image(image_id, image, since=self.listed_time)
            return image
        return None


def _interim_left(unit: Unit) -> str | None:
    """Return what is left under an interim name and forbids to act, because whose it is cannot be known."""
    _, interim_prev = interim_names(unit.name)
    if unit.foreign is not None:
        return (
            f"Another container took the name {unit.name} in the middle of a replacement; {interim_prev} holds the "
            f"earlier one. Remove or rename one of them."
        )
    if unit.stranded is None:
        return None
    role = "earlier container" if unit.stranded.name == interim_prev else "successor"
    return (
        f"{unit.stranded.name} is the {role} of {unit.name}, and somebody removed its counterpart. "
        f"Rename it to {unit.name} if that is free, or remove it."
    )


def _succession(unit: Unit, inspection: Json | None = None) -> Succession | None:
    """Return what is under way; `inspection` is that of the serving container, which tells of a stopped one whether it rests."""
    if unit.new is None or unit.old is None or unit.foreign is not None:
        return None
    record = CreateRecord.from_label(unit.new.labels.get(LABEL_CREATE_SPEC))
    if record is None or record.succeeds is None:
        return None
    was_up = record.succeeds.was.has_process
    phase = Phase.SWITCHING
    if unit.new.state is ContainerState.CREATED:
        if unit.old.name == unit.name and unit.old.state.has_process == was_up:
            phase = Phase.PREPARED
        elif unit.old.name == PREV_PREFIX + unit.name and unit.new.name == unit.name and not was_up:
            policy = RestartPolicy.of(inspection["HostConfig"]["RestartPolicy"]) if inspection else None
            armed = policy == record.restart_policy
            phase = Phase.AWAITING_FIRST_START if armed else Phase.SWITCHING
    return Succession(
        phase,
        unit.old.id,
        unit.new.id,
        unit.new.image_id,
        record.succeeds.version,
        record.succeeds.content_sha256,
    )
