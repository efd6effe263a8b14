"""A small world in memory that behaves as the real one does, and objects loudly when it is wronged.

Every action is a generator of steps: what is between two `yield`s happens at once, and a crash, a delay or a mishap
can fall on any `yield`. The assertions here are the rules that do not bend; a planner that breaks one fails the test
at that moment, not at the end.
"""

from collections.abc import Collection, Generator, Iterable, Sequence

from packaging.version import Version

from controller.api.status import HistoryEntry
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.actions import (
    Action,
    Adopt,
    Cascade,
    Dispatch,
    Judge,
    Package,
    Probe,
    Promote,
    Prune,
    Publish,
    Replace,
    Resume,
    RollBack,
    Tag,
)
from controller.model.record import ReleaseRecord
from controller.model.template_record import TemplateRecord
from controller.plan.full_builds import answered
from controller.plan.state import Held, classify, outstanding_of
from controller.plan.tags import given
from tests.unit.simulator.box import BASE_NAME, Box, sha
from tests.unit.simulator.building import Building
from tests.unit.simulator.holdings import Steps
from tests.unit.simulator.releasing import Releasing
from tests.unit.simulator.replacing import Replacing
from tests.unit.simulator.sights import Sights


class Machine(Sights, Building, Releasing, Replacing):
    """One machine, as the loop acts on it and tests judge it."""

    def perform(  # noqa: C901, PLR0911, PLR0912 -- one line for each kind of action
        self, document: WorkspaceRuntime, action: Action
    ) -> Steps:
        match action:
            case Adopt():
                return self._adopt(document, action)
            case Package():
                return self._package(document, action)
            case Cascade():
                return self._cascade(document, action)
            case Probe():
                return self._probe(document, action)
            case Tag():
                return self._tag(document, action)
            case Publish():
                return self._publish(document, action)
            case Dispatch():
                return self._dispatch(document, action)
            case Replace():
                return self._replace(document, action)
            case Promote():
                return self._promote(document, action)
            case Judge():
                return self._judge(document, action)
            case Resume():
                return self._resume(document, action)
            case RollBack():
                return self._roll_back(document, action)
            case Prune():
                return self._prune(document, action)

    def deliver(
        self, template: Template, version: str | None, *, edition: int = 1, tag: str | None = None
    ) -> str:
        """Let somebody push an image of a version, or the one that was there before all; its digest."""
        record = self.records[version] if version else None
        image = self.others.push(template, record, edition=edition, tag=tag)
        self._pushed(image)
        return image.digest

    def delete(self, identity: str) -> None:
        """Let somebody delete an image with all its tags."""
        self.images = {name: image for name, image in self.images.items() if image != identity}

    def is_moved_by_a_stranger(self, where: str) -> None:
        """Let somebody who does not know of us move a tag."""
        self.images[where] = f"sha256:{sha('a stranger')}"
        self.theirs |= {where} & self.ours

    def resume(self, document: WorkspaceRuntime, history: Sequence[HistoryEntry]) -> None:
        """Do what `wsr resume` does."""
        version = document.spec.version
        if "records" in self.unread or version not in self.records:
            return
        state = classify(document, self.observe(document), history)
        contests = () if isinstance(state, Held) else outstanding_of(state).contests
        self.records[version] = given(self.records[version].resumed(self.now()), contests)
        self.theirs -= {each.tag for each in contests}

    def differences(
        self, document: WorkspaceRuntime, *, held_too: bool = False, but: Collection[str] = ()
    ) -> Iterable[str]:
        """Yield what is not as the document asks, of the targets that may be moved, or of all that are this object's.

        `but` are templates that do not count.

        A status that says Ready while there is one of the latter lies.
        """
        version = document.spec.version
        record = self.records.get(version)
        if (
            record is None
            or record.failed
            or version not in self.index
            or record.wheel.sha256 != self.index[version]
        ):
            yield "the version is not public with the recorded bytes"
            return
        behind = self.held_back(document) | set(but)
        for template in document.spec.templates:
            recorded = record.templates.get(template.name)
            if template.name in behind:
                continue
            if (
                recorded is None
                or not recorded.proven
                or self.images.get(recorded.image) != recorded.identity
            ):
                yield f"{template.name} has no proven image"
                continue
            yield from self._behind(document, template, recorded) if template.build.ours else ()
            for tag in template.tags if template.promote and not Version(version).is_prerelease else ():
                told = f"{template.image}:{tag}" in self.theirs and not held_too
                if not told and self.images.get(f"{template.image}:{tag}") != recorded.identity:
                    yield f"{template.image}:{tag} names another image"
        listed = {template.name for template in document.spec.templates}
        for box in self.boxes.values():
            asked = box.template in listed and (held_too or (box.ours and box.template not in behind))
            if (asked or box.succession) and not self._box_is_right(box, record):
                yield f"{box.name} does not run it"

    def _behind(
        self, document: WorkspaceRuntime, template: Template, recorded: TemplateRecord
    ) -> Generator[str, None, None]:
        """Yield what an image was not built for although the document says that it is to be."""
        full, words = recorded.full_build, template.build.rebuild_on
        assert full is not None
        if "Template" in words and full.inputs_sha256 != self.inputs[template.name]:
            yield f"{template.name} is built from what its folder held before"
        if "Base" in words and (full.bases or {}).get(BASE_NAME) != self.base:
            yield f"{template.name} is built on another base"
        request = document.metadata.request_for(template.name)
        if request is not None and not answered(request, template.name, self.records):
            yield f"{template.name} is not built as was requested"

    def held_back(self, document: WorkspaceRuntime) -> set[str]:
        """Templates that failed and may: the version goes on without them."""
        record = self.records.get(document.spec.version)
        return {
            template.name
            for template in document.spec.templates
            if record is not None and template.gate == "AllowFailure" and template.name in record.held_back
        }

    @staticmethod
    def _box_is_right(box: Box, record: ReleaseRecord) -> bool:
        if box.succession is not None:
            return False
        image = record.templates.get(box.template or "")
        if image is None or box.image_id != image.image_id:
            return False
        answers = not box.silent and not box.crash_loops
        return box.stopped or (
            answers and box.version == record.version and box.content == record.content_sha256
        )
