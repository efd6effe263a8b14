"""Which state an object is in: the observation against what is asked for, as one of a closed union.

The order of the states is the order of the work: a version is recorded, built, proven, public, rolled out and
promoted, and the first of these that is not true yet names the state. What cannot be read leaves us Blocked on
it, never ahead of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.api.v1alpha1 import Spec, WorkspaceRuntime
from controller.model.observation import Observation
from controller.model.observed import Known, Observed, Unknown
from controller.model.package import Release
from controller.model.plan import TemplateBuild
from controller.model.record import ReleaseRecord, TemplateRecord
from controller.plan.changes import build_needed
from controller.plan.fleet import Fleet, sort_fleet


@dataclass(frozen=True, slots=True)
class Held:
    """People or a guard stopped this version; `fleet` is measured against the `fallback` record, if there is one."""

    reason: str
    message: str
    fallback: ReleaseRecord | None = None
    fleet: Fleet | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """The next step depends on something that cannot be read now."""

    source: str
    message: str


@dataclass(frozen=True, slots=True)
class Absent:
    """The wanted version is nowhere recorded; `release` is what the index already serves of it."""

    release: Release | None
    tree_sha256: str | None


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """Templates lack an image with the wanted version."""

    record: ReleaseRecord
    builds: tuple[TemplateBuild, ...]


@dataclass(frozen=True, slots=True)
class Unproven:
    """Images exist that have not booted and answered at the gate."""

    record: ReleaseRecord
    templates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unpublished:
    """Every template is proven; the package is not public yet, or immutable tags are missing."""

    record: ReleaseRecord
    untagged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stale:
    """The release is ready and targets do not run it yet."""

    record: ReleaseRecord
    fleet: Fleet


@dataclass(frozen=True, slots=True)
class Unpromoted:
    """The fleet has proven the release; moving tags or the verdict lag behind."""

    record: ReleaseRecord
    fleet: Fleet
    templates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpToDate:
    """What runs is what was asked for."""

    record: ReleaseRecord
    fleet: Fleet


State = Held | Blocked | Absent | Unbuilt | Unproven | Unpublished | Stale | Unpromoted | UpToDate


def classify(document: WorkspaceRuntime, observation: Observation) -> State:
    """Return the state of `document` in the world as `observation` shows it. Pure."""
    spec = document.spec
    if spec.suspend:
        return Held("Suspended", "The object is suspended; set spec.suspend to false to go on.")
    if isinstance(observation.records, Unknown):
        return Blocked("release records", observation.records.reason)
    records = observation.records.value
    record = records.get(spec.version)
    if record is not None and not _superseded(record, observation.source):
        if record.failed:
            return _failed(spec, record, records, observation)
        return _with_record(spec, record, observation)
    return _without_record(observation)


def _superseded(record: ReleaseRecord, source: Observed[str] | None) -> bool:
    """Whether the source moved on before this version became public: only then may the version mean other bytes."""
    return (
        record.published_time is None
        and record.tree_sha256 is not None
        and isinstance(source, Known)
        and source.value != record.tree_sha256
    )


def _without_record(observation: Observation) -> State:
    if isinstance(observation.index, Unknown):
        return Blocked("package index", observation.index.reason)
    if observation.index is not None and observation.index.value is not None:
        return Absent(release=observation.index.value, tree_sha256=None)
    if isinstance(observation.source, Known):
        return Absent(release=None, tree_sha256=observation.source.value)
    return Blocked("source", observation.source.reason if observation.source else "it was not read")


def _failed(
    spec: Spec, record: ReleaseRecord, records: Mapping[str, ReleaseRecord], observation: Observation
) -> State:
    verdict = record.verdict
    message = (
        f"{verdict.message} Version {record.version} is held; `wsr resume` tries it again." if verdict else ""
    )
    reason = verdict.reason if verdict else "Held"
    fallback = last_known_good(records, but=record.version)
    if fallback is None or spec.rollout.on_failure == "Pause" or isinstance(observation.targets, Unknown):
        return Held(reason, message, fallback)
    return Held(
        reason, message, fallback, sort_fleet(fallback, observation.targets.value, only_running=record)
    )


def last_known_good(records: Mapping[str, ReleaseRecord], *, but: str | None = None) -> ReleaseRecord | None:
    """Return the record that was judged Good last, other than version `but`; None when there is none."""
    good = [
        (record.verdict.time, record)
        for record in records.values()
        if record.verdict is not None and record.verdict.value == "Good" and record.version != but
    ]
    return max(good, key=lambda pair: pair[0])[1] if good else None


def image_for_new(records: Mapping[str, ReleaseRecord], version: str, template: str) -> str | None:
    """Return the one answer to "which image for a new workspace": the released one of `version`, else the last good.

    Released is what passed the gate, is public and is not held; None when there is no such image.
    """
    record = records.get(version)
    if (
        record is not None
        and record.published_time is not None
        and not record.failed
        and template in record.templates
    ):
        return record.templates[template].image
    good = last_known_good(records)
    return good.templates[template].image if good is not None and template in good.templates else None


def _with_record(spec: Spec, record: ReleaseRecord, observation: Observation) -> State:
    if isinstance(observation.images, Unknown):
        return Blocked("images", observation.images.reason)
    images = observation.images.value
    builds = build_needed(spec, record, images=images, inputs=observation.templates)
    if builds:
        return Unbuilt(record, builds)
    unproven = tuple(
        template.name for template in spec.templates if not record.templates[template.name].proven
    )
    if unproven:
        return Unproven(record, unproven)
    untagged = tuple(
        template.name
        for template in spec.templates
        if _lacks_immutable_tag(record.templates[template.name], images)
    )
    if untagged or record.published_time is None:
        return Unpublished(record, untagged)
    return _released(spec, record, observation, images)


def _lacks_immutable_tag(template: TemplateRecord, images: Mapping[str, str]) -> bool:
    return ":candidate-" in template.image or images.get(template.image) != template.identity


def _released(
    spec: Spec, record: ReleaseRecord, observation: Observation, images: Mapping[str, str]
) -> State:
    if isinstance(observation.targets, Unknown):
        return Blocked("targets", observation.targets.reason)
    fleet = sort_fleet(record, observation.targets.value)
    if not fleet.settled:
        return Stale(record, fleet)
    behind = tuple(
        template.name
        for template in spec.templates
        if template.promote
        and any(
            images.get(f"{template.image}:{tag}") != record.templates[template.name].identity
            for tag in template.tags
        )
    )
    judged_good = record.verdict is not None and record.verdict.value == "Good"
    if behind or not judged_good:
        return Unpromoted(record, fleet, behind)
    return UpToDate(record, fleet)
