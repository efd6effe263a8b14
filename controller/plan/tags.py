"""Whose the moving tags are, and which of them may be moved: forward, or back where that was asked for; never fought for.

A tag that names another image than the wanted one was left behind by us, or was moved by somebody else. Which of the
two follows from the image that it stands for: one that a record of ours names was set by us, here or on another
machine; any other one by somebody who does not know of us. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.version import Version

from controller.api.conditions import Reason
from controller.api.names import ANNOTATION_TAKE_OVER
from controller.api.status import HistoryEntry
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.actions import TagMove
from controller.model.record import ReleaseRecord
from controller.model.template_record import TemplateRecord
from controller.plan.outcome import came_after


@dataclass(frozen=True, slots=True)
class Contest:
    """A moving tag (`repository:tag`) that somebody else moved: it stands for `digest`, and is left alone."""

    template: str
    tag: str
    digest: str
    reason: str
    message: str

    def concerns(self, moves: Iterable[TagMove]) -> bool:
        """Whether the tag is among those that are to be moved."""
        tag = self.tag.rpartition(":")[2]
        return any((move.template, move.tag) == (self.template, tag) for move in moves)


def moving_tags(template: Template, version: str) -> tuple[str, ...]:
    """Return the tags that move with `version`: a dev, pre- or local release moves none but `preReleaseTags`."""
    asked = Version(version)
    early = asked.is_prerelease or asked.local is not None
    return tuple(template.pre_release_tags if early else template.tags)


def all_tags(template: Template) -> tuple[str, ...]:
    """Return every tag that moves with one version or another."""
    return tuple(sorted({*template.tags, *template.pre_release_tags}))


def lagging(  # noqa: PLR0913 -- what is asked for, and each side of what is known of the past
    document: WorkspaceRuntime,
    record: ReleaseRecord,
    records: Mapping[str, ReleaseRecord],
    images: Mapping[str, str],
    history: Sequence[HistoryEntry] = (),
    *,
    held: bool = False,
) -> tuple[tuple[TagMove, ...], tuple[Contest, ...]]:
    """Return the tags that are to be moved to the images of `record`, and those that are somebody else's by now.

    While another version is `held`, `wsr resume` lets that one go on and takes no tag.
    """
    moves: list[TagMove] = []
    contests: list[Contest] = []
    asked = _Asked(document, record, records, history, held)
    for template in document.spec.templates:
        if template.name not in record.templates:
            continue
        for tag in moving_tags(template, record.version) if template.promote else ():
            stands_for = images.get(f"{template.image}:{tag}", "")
            if asked.is_done(template, tag, stands_for) or asked.leaves(template, stands_for):
                continue
            contest = asked.contest(template, tag, stands_for) if stands_for else None
            if contest is not None:
                contests.append(contest)
            else:
                moves.append(TagMove(template.name, tag, stands_for))
    return tuple(moves), tuple(contests)


def naming(
    document: WorkspaceRuntime, record: ReleaseRecord, images: Mapping[str, str]
) -> tuple[TagMove, ...]:
    """Return the moving tags of ours that stand for an image of `record`."""
    return tuple(
        TagMove(template.name, tag, identity)
        for template in document.spec.templates
        if template.promote and template.name in record.templates
        for tag in all_tags(template)
        for identity in _identities(record.templates[template.name])
        if images.get(f"{template.image}:{tag}") == identity
    )


def given(record: ReleaseRecord, contests: Iterable[Contest]) -> ReleaseRecord:
    """Return the record by which these tags may be taken from what they stand for; those of another object stay."""
    for contest in contests:
        if contest.reason != Reason.PUBLISHER_CONFLICT:
            template = record.templates[contest.template].giving(contest.digest)
            record = record.with_template(contest.template, template)
    return record


def publisher_conflict(document: WorkspaceRuntime, records: Iterable[ReleaseRecord]) -> str | None:
    """Return why another object publishes this package, with the cure; None when this one does, or nobody yet."""
    package = document.spec.package
    built = [
        (record.published_time, record.version, record.publisher)
        for record in records
        if record.package == package.name and record.tree_sha256 and record.published_time
    ]
    if package.publish == "External" or not built:
        return None
    _, version, publisher = max(built)
    if _is_ours(document, publisher):
        return None
    return (
        f"{publisher} publishes {package.name}: its last version is {version}. Set package.publish to External here, so"
        f" that its versions are waited for; or, if {publisher} is no more, annotate this object with"
        f" {ANNOTATION_TAKE_OVER}: {publisher}."
    )


def _identities(image: TemplateRecord) -> set[str]:
    return {*image.followed, *(each.identity for each in (image, image.previous) if each is not None)}


def _is_ours(document: WorkspaceRuntime, publisher: str) -> bool:
    return publisher in {document.key, document.metadata.takes_over}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked for, and what is known of the past."""

    document: WorkspaceRuntime
    record: ReleaseRecord
    records: Mapping[str, ReleaseRecord]
    history: Sequence[HistoryEntry]
    held: bool

    def is_done(self, template: Template, tag: str, digest: str) -> bool:
        """Whether the tag was moved. Before a verdict on the image that is so once it is noted, and the host's own tag was moved."""
        image, verdict = self.record.templates[template.name], self.record.verdict
        judged = verdict is not None and verdict.value == "Good" and not came_after(image, verdict)
        return digest == image.identity and (tag in image.tags or judged)

    def leaves(self, template: Template, digest: str) -> bool:
        """Whether this object is through with its version, and a newer one was released elsewhere: the newer one wins."""
        newest = self._newest(self._naming(template, digest))
        last = self.history[0] if self.history else None
        through = last is not None and (last.version, last.verdict) == (self.record.version, "Good")
        return through and newest is not None and self._is_newer(newest) and not self._given(template, digest)

    def contest(self, template: Template, tag: str, digest: str) -> Contest | None:
        """Return why the tag, which stands for `digest`, is left alone; None when it may be moved."""
        if self._given(template, digest):
            return None
        where, naming = f"{template.image}:{tag}", self._naming(template, digest)
        newest = self._newest(naming)
        if newest is not None:
            return self._newer(template, where, digest, newest)
        if naming:
            return self._of_another(template, where, digest, naming[0])
        if self._was_set(template, tag):
            text = (
                f"{where} was moved by somebody else: it stands for {digest}, which is no image of this object."
                f" It is left alone{self._cure(f'moves it to {self.record.version}')}."
            )
            return Contest(template.name, where, digest, Reason.TAG_MOVED, text)
        return None

    def _newer(self, template: Template, where: str, digest: str, newest: str) -> Contest | None:
        """Return the contest with a newer release of ours that was never asked for here; going back is asked for."""
        if not self._is_newer(newest) or newest in {entry.version for entry in self.history}:
            return None
        text = (
            f"{where} stands for {newest}, which was released elsewhere and is newer than {self.record.version}."
            f" It stays there{self._cure('moves it back')}."
        )
        return Contest(template.name, where, digest, Reason.NEWER_RELEASED, text)

    def _cure(self, does: str) -> str:
        return "" if self.held else f"; `wsr resume` {does}"

    def _of_another(self, template: Template, where: str, digest: str, theirs: ReleaseRecord) -> Contest:
        text = (
            f"{where} belongs to {theirs.publisher}: it stands for its version {theirs.version}. Set promote to false for"
            f" template {template.name} in one of the two objects; or, if {theirs.publisher} is no more, annotate this"
            f" object with {ANNOTATION_TAKE_OVER}: {theirs.publisher}."
        )
        return Contest(template.name, where, digest, Reason.PUBLISHER_CONFLICT, text)

    def _given(self, template: Template, digest: str) -> bool:
        """Whether a tag may be taken from this image: one that is followed, or that the owner gave; the next image has it noted."""
        recorded = self.records.get(self.record.version, self.record).templates
        image = recorded.get(template.name) or self.record.templates[template.name]
        return digest in {*image.taken, *image.followed}

    def _naming(self, template: Template, digest: str) -> list[ReleaseRecord]:
        """Return the records that have this image in the template's repository: another one may have the same bytes."""
        return [
            each
            for each in self.records.values()
            if any(
                image.repository == template.image and digest in _identities(image)
                for image in each.templates.values()
            )
        ]

    def _newest(self, records: Iterable[ReleaseRecord]) -> str | None:
        ours = [each.version for each in records if _is_ours(self.document, each.publisher)]
        return max(ours, key=Version, default=None)

    def _is_newer(self, version: str) -> bool:
        return Version(version) > Version(self.record.version)

    def _was_set(self, template: Template, tag: str) -> bool:
        """Whether we have set this tag before; records of earlier releases say so of all tags at once."""
        return any(
            tag in image.all_tags or (each.promoted and image.built_time is None)
            for each in self.records.values()
            if _is_ours(self.document, each.publisher)
            for image in [each.templates.get(template.name)]
            if image is not None
        )
