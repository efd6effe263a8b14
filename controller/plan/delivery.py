"""What is due of single images once a version is public, while all others go on. Pure.

Whoever builds an image is told, waited for, and what comes is probed; and an image that stays in use, although its template
has no newer one that passed, keeps its immutable tag.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Dispatch as Told
from controller.api.v1alpha1 import Spec, Template
from controller.model.actions import Action, Dispatch, Probe, Tag
from controller.model.delivery import DeliveredImage
from controller.model.observation import Observation
from controller.model.observed import Known, Unknown
from controller.model.plan import Failure
from controller.model.record import Dispatched, HeldBack, ReleaseRecord
from controller.model.template_record import TemplateRecord
from controller.plan.gate import FAILURES
from controller.plan.unread import is_there, unread

OVERDUE_AFTER = timedelta(hours=1)
"""How long after its publication a version is looked for often, where nobody said how long it may take."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One template whose image of a public version is not there, or not all of the way.

    `ready` means that nobody waits for it: targets go on with an image that is there, or were never to get one.
    `untagged` is the version whose record has the image that lacks its immutable tag. `gone` is what was delivered, and
    deleted from the registry since, None while that cannot be known. `found` is to be probed. `refused` is why what was
    delivered last did not pass. `dispatch` is whom to tell, None while it cannot be known whether that is needed, and
    `sent` that it was done. `unread` is why it cannot be known what was delivered.
    """

    template: str
    ready: bool = False
    untagged: str | None = None
    gone: TemplateRecord | None = None
    found: DeliveredImage | None = None
    refused: HeldBack | None = None
    dispatch: Told | None = None
    sent: Dispatched | None = None
    unread: Unknown | None = None


def deliveries(spec: Spec, record: ReleaseRecord, observation: Observation) -> tuple[Delivery, ...]:
    """Return what is due, template by template; nothing of one that failed and may, until another image is delivered."""
    images = observation.images.value if isinstance(observation.images, Known) else {}
    theirs = (
        each for each in spec.templates if not each.build.ours and unread(each, record, observation) is None
    )
    due = (_due(template, record, observation, images) for template in theirs)
    return tuple(delivery for delivery in due if delivery is not None)


def retagged(
    templates: Iterable[Template], releases: Sequence[ReleaseRecord], images: Mapping[str, str]
) -> tuple[Delivery, ...]:
    """Return those of `templates` whose image in use lacks its immutable tag.

    `releases` are the wanted one and then the good ones, newest first: an image is in use until a newer one passes. One that
    was deleted can be given no tag.
    """
    due: list[Delivery] = []
    for template in templates:
        used = ((each.version, each.in_use.templates.get(template.name)) for each in releases)
        kept = (
            (version, image)
            for version, image in used
            if image and is_there(template, image.identity, images)
        )
        version, image = next(kept, ("", None))
        if image is None or image.repository != template.image:
            continue
        if image.is_candidate or images.get(image.image) != image.identity:
            # Before it has its tag, no target can be brought to it.
            waited_for = image.is_candidate and version == releases[0].version
            due.append(Delivery(template.name, ready=not waited_for, untagged=version))
    return tuple(due)


def deliver(record: ReleaseRecord, due: Iterable[Delivery]) -> list[Action]:
    """Return what is to be done about `due` now; nothing for an image that is only awaited."""
    actions: list[Action] = []
    for each in due:
        if each.untagged is not None:
            actions.append(Tag(each.untagged, (each.template,), "this image passed and lacks its tag"))
        elif each.found is not None:
            reason = f"{each.found.reference} may be {record.version}"
            actions.append(Probe(record.version, each.template, each.found.digest, reason, each.found))
        elif each.dispatch is not None and each.refused is None and each.sent is None:
            actions.append(_dispatch(record, each.template, each.dispatch, again=each.gone is not None))
    return actions


def answer_due(delivery: Delivery) -> datetime | None:
    """Return when the silence of whoever was told to build becomes a failure; None when nobody is waited for."""
    if delivery.sent is None or delivery.dispatch is None or delivery.found or delivery.untagged:
        return None
    return delivery.sent.sent_time + timedelta(seconds=delivery.dispatch.timeout_seconds)


def is_overdue(record: ReleaseRecord, delivery: Delivery, now: datetime) -> bool:
    """Whether nobody expects it any more: from here on looking for it now and then is enough."""
    asked = [record.published_time, delivery.refused.time if delivery.refused else None]
    since = max((time for time in asked if time is not None), default=now)
    return (answer_due(delivery) or since + OVERDUE_AFTER) <= now


def undelivered(record: ReleaseRecord, delivery: Delivery, now: datetime) -> tuple[Action, Failure] | None:
    """Return why only somebody else can go on with `delivery`, with the action that it would be; None when that is not so."""
    refused, told, sent, unread_ = delivery.refused, delivery.dispatch, delivery.sent, delivery.unread
    if unread_ is not None and unread_.stalled is not None:
        probe = Probe(record.version, delivery.template, "", "what was delivered must be read")
        text = f"Template {delivery.template}: what is served of it cannot be read: {unread_.reason}"
        return probe, Failure(unread_.stalled, text, None)
    if refused is not None and delivery.found is None:
        probe = Probe(record.version, delivery.template, refused.refused[-1], "another one must be delivered")
        return probe, Failure(refused.reason, refused.message, None)
    if delivery.gone is not None and told is None and delivery.found is None:
        probe = Probe(record.version, delivery.template, delivery.gone.identity, "it must be delivered again")
        text = f"{deleted_text(record, delivery.template, delivery.gone)} Push it again, or another one of {record.version}."
        return probe, Failure(Reason.IMAGE_GONE, text, None)
    time = answer_due(delivery)
    if time is None or time > now or told is None or sent is None:
        return None
    lost = f" after its image ({delivery.gone.image}) was deleted" if delivery.gone is not None else ""
    message = (
        f"Template {delivery.template}: {told.repository} was told of {record.version}{lost} (correlation id"
        f" {sent.correlation_id}) and delivered no image within {told.timeout_seconds} s."
        " Look at its workflow runs; `wsr resume` tells it once more."
    )
    return _dispatch(record, delivery.template, told), Failure(Reason.DISPATCH_SILENT, message, None)


def deleted_text(record: ReleaseRecord, template: str, image: TemplateRecord) -> str:
    """Return the words for an image that somebody delivered and somebody deleted."""
    return (
        f"Template {template}: its image of {record.version}, {image.image}@{image.identity}, was deleted from the registry."
        " What runs it goes on; nothing else can be brought to it."
    )


def _dispatch(record: ReleaseRecord, template: str, told: Told, *, again: bool = False) -> Dispatch:
    reason = (
        f"its image was deleted, and {told.repository} builds it"
        if again
        else f"{told.repository} builds its image"
    )
    return Dispatch(record.version, template, record.wheel.sha256, told.repository, reason)


def _due(
    template: Template, record: ReleaseRecord, observation: Observation, images: Mapping[str, str]
) -> Delivery | None:
    recorded = record.in_use.templates.get(template.name)
    if recorded is not None and recorded.repository != template.image:
        recorded = None
    if recorded is not None and images.get(recorded.image) == recorded.identity:
        if "Template" not in template.build.rebuild_on:
            return None
        found = _found(template, record, observation, but={recorded.identity})
        return Delivery(template.name, ready=True, found=found) if found else None
    if recorded is not None and is_there(template, recorded.identity, images):
        return Delivery(template.name, untagged=record.version)
    note = record.held_back.get(template.name)
    refused = note if note is not None and note.reason in FAILURES else None
    found = _found(template, record, observation, but=())
    if refused is not None and found is None and recorded is None and template.gate == "AllowFailure":
        return None
    seen = observation.deliveries.get(template.name)
    return Delivery(
        template.name,
        gone=recorded if isinstance(seen, Known) else None,
        found=found,
        refused=refused,
        dispatch=template.build.dispatch if isinstance(seen, Known) else None,
        sent=_unanswered(record.dispatches.get(template.name), recorded),
        unread=seen if isinstance(seen, Unknown) else None,
    )


def _unanswered(sent: Dispatched | None, delivered: TemplateRecord | None) -> Dispatched | None:
    """Return the telling that no image has answered yet: one from before `delivered` was answered by it."""
    time = delivered.built_time if delivered is not None else None
    return None if sent is not None and time is not None and sent.sent_time <= time else sent


def _found(
    template: Template, record: ReleaseRecord, observation: Observation, *, but: Collection[str]
) -> DeliveredImage | None:
    """Return the first image that may be the wanted one. One without labels may be any: known ones are left out."""
    seen = observation.deliveries.get(template.name)
    note = record.held_back.get(template.name)
    refused = note.refused if note is not None else ()
    known = _known(template, record, observation)
    for image in seen.value if isinstance(seen, Known) else ():
        new = image.is_labelled or image.digest not in known
        if new and image.may_be(record) and image.digest not in {*refused, *but}:
            return image
    return None


def _known(template: Template, record: ReleaseRecord, observation: Observation) -> frozenset[str]:
    """Return the digests of images that were there before this version was public, or are another version's."""
    records = observation.records.value if isinstance(observation.records, Known) else {}
    others = (
        each.templates.get(template.name) for each in records.values() if each.version != record.version
    )
    shadow = record.shadows.get(template.name)
    base = shadow.full_build.digest if shadow is not None and shadow.full_build is not None else None
    return frozenset({*(each.identity for each in others if each is not None), *([base] if base else [])})
