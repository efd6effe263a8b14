"""A small world in memory that behaves as the real one does, and objects loudly when it is wronged.

Every action is a generator of steps: what is between two `yield`s happens at once, and a crash, a delay or a mishap
can fall on any `yield`. The assertions here are the rules that do not bend; a planner that breaks one fails the test
at that moment, not at the end.
"""

import hashlib
from collections.abc import Callable, Collection, Container, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from packaging.version import Version

from controller.api.conditions import Reason
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
    Tag,
    TemplateBuild,
)
from controller.model.container import ContainerState
from controller.model.delivery import DeliveredImage
from controller.model.errors import PartlyFailed, Terminal, Transient, Waiting
from controller.model.observation import Observation
from controller.model.observed import Known, Observed, Unknown
from controller.model.package import IndexFile, Release, ServedPackage
from controller.model.probe import ProbeFailed, ProbePassed, ProbeReason
from controller.model.record import Dispatched, HeldBack, ReleaseRecord, Verdict
from controller.model.record_part import Artifact
from controller.model.running import RuntimeReport, RuntimeState
from controller.model.target import Phase, Succession, Target
from controller.model.template_record import FullBuild, TemplateInputs, TemplateRecord
from controller.plan.budget import allowed
from controller.plan.full_builds import answered
from controller.plan.outcome import held_back_by, held_back_in_fleet, rolled_image, with_failed, with_passed
from controller.plan.state import Held, classify, outstanding_of
from controller.plan.steering import steered
from controller.plan.tags import given
from tests.unit.simulator.others import Others

T = TypeVar("T")
Steps = Generator[float, None, str]
"""Yields how many seconds the next step takes, and returns the line about the whole."""

BASE_IMAGE = "sha256:" + "0" * 64
"""What containers run before the first release reached them."""

BASE_NAME = "python:3.11-slim"
"""What every Dockerfile starts from."""


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def image_id(template: str, wheel: str, inputs: str) -> str:
    return f"sha256:{sha(f'{template} {wheel} {inputs}')}"


def parts_of(inputs: str) -> TemplateInputs:
    """What a template's folder holds whose hash is `inputs`, all parts of its own."""
    return TemplateInputs(
        sha256=inputs,
        dockerfile_sha256=sha(f"Dockerfile of {inputs}"),
        rest_sha256=sha(f"rest of {inputs}"),
        bases=(BASE_NAME,),
    )


@dataclass
class Box:
    """One container that is a target."""

    name: str
    template: str | None
    image_id: str = BASE_IMAGE
    version: str | None = None
    content: str | None = None
    stopped: bool = False
    crash_loops: bool = False
    silent: bool = False
    """It runs and does not answer."""
    work: list[tuple[float, float]] = field(default_factory=list)
    """When work is under way: from, to, in seconds."""
    hold: str | None = None
    held_on_object: bool = False
    """Whether an annotation of the object holds it; what is seen of it does not tell."""
    pin: str | None = None
    shape_unsafe: str | None = None
    succession: Succession | None = None
    replacing: bool = False

    @property
    def id(self) -> str:
        return f"docker/local/{self.name}"

    @property
    def switching(self) -> bool:
        return self.succession is not None and self.succession.phase is Phase.SWITCHING

    @property
    def ours(self) -> bool:
        held = self.hold or self.held_on_object or self.pin
        return self.template is not None and not (held or self.shape_unsafe)

    def busy_until(self, now: float) -> float | None:
        return next((end for start, end in self.work if start <= now < end), None)

    def target(self, now: float, listed: Container[str]) -> Target:
        template = self.template if self.template in listed else None
        if self.stopped or self.switching:
            state = ContainerState.EXITED
        else:
            state = ContainerState.RESTARTING if self.crash_loops else ContainerState.RUNNING
        return Target(
            id=self.id,
            host="local",
            name=self.name,
            template=template,
            template_unknown=None if template else "its image is of no listed template",
            container_id=sha(self.name)[:12],
            image=f"ws/{self.template}",
            image_id=self.image_id,
            state=state,
            running=self._report(now, state),
            hold=self.hold,
            pin=self.pin,
            shape_unsafe=self.shape_unsafe,
            succession=self.succession,
        )

    def _report(self, now: float, state: ContainerState) -> Observed[RuntimeReport]:
        if state is not ContainerState.RUNNING or self.silent or self.version is None:
            return Unknown("it does not answer", datetime(2026, 5, 1, tzinfo=UTC))
        return Known(
            RuntimeReport(
                package="molecule-ai-workspace-runtime",
                version=self.version,
                content_sha256=self.content,
                state=RuntimeState.SERVING,
                active_tasks=int(self.busy_until(now) is not None),
                queued_tasks=0,
            )
        )


@dataclass
class Machine:
    """Source, index, records, images and containers of one machine."""

    seconds: Callable[[], float]
    now: Callable[[], datetime]
    tree: str = sha("the first source")
    inputs: dict[str, str] = field(default_factory=dict)
    base: str = f"sha256:{sha('the first base')}"
    """What the base's name stands for."""
    index: dict[str, str] = field(default_factory=dict)
    waits: dict[str, str] = field(default_factory=dict)
    records: dict[str, ReleaseRecord] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, Box] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    """What cannot be read now: source, index, records, images, images of one template, templates, bases, targets."""
    awaited: set[str] = field(default_factory=set)
    """What somebody else has yet to make."""
    refusing: set[str] = field(default_factory=set)
    """The same where only a person can help."""
    bad_at_gate: set[tuple[str, str]] = field(default_factory=set)
    """(version, template) whose candidate, or shadow, fails."""
    bad_deliveries: set[str] = field(default_factory=set)
    """Digests of images of others that fail."""
    bad_in_fleet: set[tuple[str, str]] = field(default_factory=set)
    """(version, container) whose new process fails."""
    bad_builds: set[tuple[str, str]] = field(default_factory=set)
    full_builds: dict[str, FullBuild] = field(default_factory=dict)
    """The last one of each template."""
    builds: list[tuple[str, str, str]] = field(default_factory=list)
    """(version, template, inputs) of every image that was begun."""
    under_construction: set[str] = field(default_factory=set)
    tasks_cut: int = 0
    """Only ever by `onTimeout: Proceed`."""
    others: Others = field(default_factory=Others)
    ours: set[str] = field(default_factory=set)
    """Moving tags that were set here."""
    theirs: set[str] = field(default_factory=set)
    """Those of them that a stranger has moved since, and nobody gave back."""

    def add(self, *boxes: Box) -> None:
        for box in boxes:
            self.boxes[box.id] = box
            if box.template is not None:
                self.inputs.setdefault(box.template, sha(f"inputs of {box.template}"))

    # --- reading

    def observe(self, document: WorkspaceRuntime) -> Observation:
        version = document.spec.version
        record = self.records.get(version)
        needed = record is None or record.published_time is None
        for image in self.others.arrive(self.seconds()):
            self._pushed(image)
        told, untold = self._images_told(document)
        served = {} if needed else self.others.served(document, told)
        return Observation(
            source=self._read("source", self.tree) if needed else None,
            index=self._read("index", self._served(document.spec.package.name)) if needed else None,
            records=self._read("records", dict(self.records)),
            images=self._read("images", told),
            templates={name: self._read("templates", parts_of(value)) for name, value in self.inputs.items()},
            targets=self.targets(document),
            bases={BASE_NAME: self._read("bases", self.base)},
            deliveries={name: self._read("images", found) for name, found in served.items()},
            unread={} if "images" in self.unread else untold,
        )

    def _images_told(self, document: WorkspaceRuntime) -> tuple[Mapping[str, str], Mapping[str, Unknown]]:
        untold: dict[str, Unknown] = {}
        for template in document.spec.templates:
            source = f"images of {template.name}"
            if source in self.unread | self.refusing:
                stalled = "CredentialsMissing" if source in self.refusing else None
                untold[f"{template.image}:latest"] = Unknown("401", self.now(), stalled=stalled)
        refused = set(map(_repository, untold))
        told = {
            reference: image
            for reference, image in self.images.items()
            if _repository(reference) not in refused
        }
        return told, untold

    def targets(self, document: WorkspaceRuntime) -> Observed[tuple[Target, ...]]:
        listed = {template.name for template in document.spec.templates}
        seen = (box.target(self.seconds(), listed) for box in self.boxes.values())
        return self._read("targets", steered(document, seen))

    def _read(self, source: str, value: T) -> Observed[T]:
        if source in self.unread:
            return Unknown("it is away", datetime(2026, 5, 1, tzinfo=UTC))
        if source in self.awaited:
            since = datetime(2026, 5, 1, tzinfo=UTC)
            return Unknown("Waiting for runtime-v0.1.1", since, awaited="SourceNotFound")
        if source in self.refusing:
            since = datetime(2026, 5, 1, tzinfo=UTC)
            return Unknown("It wants a password. Give one.", since, stalled="CredentialsMissing")
        return Known(value)

    def _served(self, package: str) -> ServedPackage:
        files = {
            version: IndexFile(f"x-{version}-py3-none-any.whl", "http://index/x.whl", sha256)
            for version, sha256 in self.index.items()
        }
        return ServedPackage(package, {version: Release(version, (file,)) for version, file in files.items()})

    # --- acting

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

    def _pushed(self, image: DeliveredImage) -> None:
        self.images[image.reference] = image.digest
        self.images[f"{image.reference.rpartition(':')[0]}:{self.others.holds[image.digest]}"] = image.digest

    def perform(  # noqa: C901, PLR0911 -- one line for each kind of action
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
            case Prune():
                return self._prune(document, action)

    def _built_once(self, what: str, seconds: float) -> Generator[float, None, None]:
        assert what not in self.under_construction, f"two builds of one input at a time: {what}"
        self.under_construction.add(what)
        try:
            yield seconds
        finally:
            self.under_construction.discard(what)

    def _adopt(self, document: WorkspaceRuntime, action: Adopt) -> Steps:
        assert action.version in self.index, "adopted what no index serves"
        recorded = self.records.get(action.version)
        assert recorded is None or recorded.published_time is None, "adopted what is recorded as published"
        yield 2.0
        self._answers("index", "The package index")
        self.records[action.version] = self._record(
            document, action.version, self.index[action.version], None
        ).published(self.now())
        self._followed(document, self.records[action.version])
        return "as the index serves it"

    def _followed(self, document: WorkspaceRuntime, record: ReleaseRecord) -> None:
        """Let those who watch the index by themselves begin to build."""
        for template in document.spec.templates:
            if template.build.strategy == "Follow":
                self.others.build(template, record, now=self.seconds())

    def _package(self, document: WorkspaceRuntime, action: Package) -> Steps:
        earlier = self.records.get(action.version)
        assert action.version not in self.index, "built what the index already serves"
        assert earlier is None or earlier.tree_sha256 != action.tree_sha256, "built what is recorded"
        tree = self.tree
        yield from self._built_once(f"package {action.version} {tree}", 4.0)
        yield 0.5
        assert action.version not in self.index, "new bytes for a public version"
        self.records[action.version] = self._record(
            document, action.version, sha(f"wheel {action.version} {tree}"), tree
        )
        return "wheel and sdist"

    def _record(
        self, document: WorkspaceRuntime, version: str, wheel: str, tree: str | None
    ) -> ReleaseRecord:
        return ReleaseRecord(
            package=document.spec.package.name,
            version=version,
            publisher=document.key,
            tree_sha256=tree,
            wheel=Artifact(file=f"x-{version}-py3-none-any.whl", sha256=wheel, size=1),
            content_sha256=sha(f"content of {wheel}"),
        )

    def _cascade(self, document: WorkspaceRuntime, action: Cascade) -> Steps:
        made: dict[str, TemplateRecord] = {}
        shadows: dict[str, TemplateRecord] = {}
        failed = []
        for build in action.builds:
            full_build = self._full_build(build)
            image = image_id(build.template, action.wheel_sha256, full_build.digest)
            self.builds.append((action.version, build.template, build.base or build.inputs_sha256))
            yield from self._built_once(f"image {image}", 2.0)
            if (action.version, build.template) in self.bad_builds:
                failed.append(build)
                continue
            reference = f"{self._template(document, build.template).image}:candidate-{sha(image)[:8]}"
            self.images[reference] = image
            (shadows if build.base else made)[build.template] = TemplateRecord(
                image=reference,
                image_id=image,
                full_build=full_build,
                reason=build.reason,
                before=build.before,
                after=build.after,
            )
        yield 0.5
        record = self.records[action.version]
        if record.wheel.sha256 == action.wheel_sha256:
            for name, template in made.items():
                record = record.with_template(name, template.following(record.templates.get(name)))
            for name, shadow in shadows.items():
                record = record.with_shadow(name, shadow)
            for build in failed:
                cause = self._build_held_back(document, build)
                record = record.holding_back(build.template, cause) if cause is not None else record
            self.records[action.version] = record
        final = [build.template for build in failed if self._build_held_back(document, build) is None]
        if final:
            raise PartlyFailed(
                {
                    name: Terminal(
                        Reason.BUILD_FAILED,
                        f"Template {name}: pip found nothing.",
                        fix="Correct the template.",
                    )
                    for name in final
                }
            )
        return f"{len(made) + len(shadows)} images"

    def _full_build(self, build: TemplateBuild) -> FullBuild:
        """Return the full build that an image is put on: the last one, or another one when that is asked for."""
        if build.base is not None:
            served = f"{build.template}:served"
            return FullBuild(
                image=served, digest=build.base, inputs_sha256=build.base.removeprefix("sha256:")
            )
        known = self.full_builds.get(build.template)
        if known is None or build.rebuild:
            bases = dict(build.bases) or {BASE_NAME: self.base}
            made_of = f"{build.template} {build.inputs_sha256} {bases} {build.request}"
            digest = f"sha256:{sha(made_of)}"
            known = FullBuild(
                image=f"{build.template}:full",
                digest=digest,
                inputs_sha256=build.inputs_sha256,
                inputs=build.inputs,
                bases=bases,
                request=build.request,
            )
            self.full_builds[build.template] = known
        return known

    def _build_held_back(self, document: WorkspaceRuntime, build: TemplateBuild) -> HeldBack | None:
        if build.base is not None:
            text = f"Template {build.template}: it lacks what the wheel requires."
            return HeldBack(reason=Reason.UNTESTED, message=text, refused=(build.base,), time=self.now())
        if self._template(document, build.template).gate != "AllowFailure":
            return None
        text = f"Template {build.template}: pip found nothing."
        return HeldBack(
            reason=Reason.BUILD_FAILED,
            message=text,
            refused=(build.inputs_sha256,),
            request=build.request,
            time=self.now(),
        )

    def _probe(self, document: WorkspaceRuntime, action: Probe) -> Steps:
        assert action.digest in self.images.values(), "probed an image that does not exist"
        template = self._template(document, action.template)
        delivered = action.delivered
        yield 6.0
        record = self.records[action.version]
        if delivered is None:
            bad = (action.version, action.template) in self.bad_at_gate
            why, word = ProbeReason.TURN_FAILED, "turn 1 failed: KeyError: 'colour'"
        else:
            wrong = self.others.holds[action.digest] != action.version
            bad = wrong or action.digest in self.bad_deliveries
            why = ProbeReason.WRONG_VERSION if wrong else ProbeReason.TURN_FAILED
            word = "it reports another version" if wrong else "turn 1 failed: KeyError: 'colour'"
        if bad:
            failure = ProbeFailed(action.template, why, f"Template {action.template}: {word}.")
            cause = held_back_by(template, action, failure, now=self.now())
            if cause is None and record.verdict is not None and record.verdict.value == "Good":
                raise Terminal(Reason.GATE_FAILED, failure.message, fix="What runs stays as it is.")
            self.records[action.version] = with_failed(
                record, template, action, failure.message, cause, now=self.now()
            )
            return "failed turn 1 of 2" if delivered is None else f"failed: {why}"
        passed = ProbePassed(action.template, 1.0, (0.1, 0.1), None)
        theirs = None
        if delivered is not None:
            self.others.probed.add(action.digest)
            name = f"{template.image}:candidate-{sha(action.digest)[:8]}"
            theirs = TemplateRecord(
                image=name,
                digest=action.digest,
                image_id=delivered.image_id,
                reason="Delivered",
                built_time=self.now(),
            )
        self.records[action.version] = with_passed(record, template, action, passed, delivered=theirs)
        return "booted and answered two turns"

    def _dispatch(self, document: WorkspaceRuntime, action: Dispatch) -> Steps:
        record = self.records[action.version]
        assert record.published_time is not None, "told whoever builds of what nobody can install yet"
        there = [each.identity for each in record.templates.values() if each.identity in self.images.values()]
        gone = action.template in record.templates and record.templates[action.template].identity not in there
        assert gone or action.template not in record.dispatches, f"{action.repository} was told twice"
        yield 1.0
        self.others.told.append((action.version, action.template))
        self.others.build(self._template(document, action.template), record, now=self.seconds())
        sent = Dispatched(correlation_id=action.correlation_id, sent_time=self.now())
        self.records[action.version] = self.records[action.version].dispatched(action.template, sent)
        return f"{action.repository} was told"

    def _judged(self, version: str, value: str, reason: str, message: str) -> None:
        verdict = Verdict.model_validate(
            {"value": value, "reason": reason, "message": message, "time": self.now()}
        )
        self.records[version] = self.records[version].judged(verdict)

    def _tag(self, document: WorkspaceRuntime, action: Tag) -> Steps:
        for name in action.templates:
            recorded = self.records[action.version].in_use.templates[name]
            assert recorded.identity in self.images.values(), f"{name} was tagged and does not exist"
            reference = recorded.image
            if ":candidate-" in reference:
                inputs = reference.rsplit("candidate-", 1)[1]
                reference = f"{self._template(document, name).image}:{action.version}-nocommi-{inputs}"
            assert self.images.get(reference, recorded.identity) == recorded.identity, (
                "an immutable tag moved"
            )
            self.images[reference] = recorded.identity
            yield 0.5
            tagged = recorded.model_copy(update={"image": reference})
            record = self.records[action.version]
            if not record.templates[name].proven:
                tagged = record.templates[name].model_copy(update={"previous": tagged})
            self.records[action.version] = record.with_template(name, tagged)
        return "immutable"

    def _publish(self, document: WorkspaceRuntime, action: Publish) -> Steps:
        record = self.records[action.version]
        assert record.wheel.sha256 == action.wheel_sha256, "published other bytes than the recorded ones"
        for template in document.spec.templates:
            assert self._may_be_published(template, record), f"published before {template.name} was proven"
        finals = [served for served in map(Version, self.index) if not served.is_prerelease]
        asked = Version(action.version)
        lower = action.version not in self.index and any(served > asked for served in finals)
        assert asked.is_prerelease or not lower, "published a final release below the newest one"
        yield 2.0
        self._answers("index", "The package index")
        served = self.index.setdefault(action.version, action.wheel_sha256)
        assert served == action.wheel_sha256, "the index serves other bytes under this version"
        yield 1.0
        self.records[action.version] = self.records[action.version].published(self.now())
        self._followed(document, record)
        return "the index serves it"

    def _may_be_published(self, template: Template, record: ReleaseRecord) -> bool:
        """The gate once more, in other words than the planner's."""
        images = record.templates if template.build.ours else record.shadows
        image = images.get(template.name)
        if template.gate == "AllowFailure" and template.name in record.held_back:
            return record.held_back[template.name].reason in {"BuildFailed", "GateFailed"}
        if image is None:
            return template.gate == "AllowUntested"
        return image.proven and (record.version, template.name) not in self.bad_at_gate

    def _promote(self, document: WorkspaceRuntime, action: Promote) -> Steps:
        asked = self.records.get(document.spec.version)
        rollback = asked is not None and asked.failed and action.version != asked.version
        assert rollback or self.fleet_has_proven(document, action.version), (
            "promoted before the fleet had proven it"
        )
        for move in action.moves:
            template = self._template(document, move.template)
            where = f"{template.image}:{move.tag}"
            assert template.promote, f"moved tags of {template.name}, which are somebody else's"
            assert where not in self.theirs, f"{where} was taken from whoever moved it"
            if self.images.get(where, "") != move.expected:
                raise Transient(f"{where} was moved meanwhile")
            self.images[where] = self.records[action.version].in_use.templates[template.name].identity
            self.ours.add(where)
            yield 0.5
        self._noted(action)
        return "moved"

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

    def _noted(self, action: Promote) -> None:
        """Note which tags were set, as whoever asks later whether they are ours needs it."""
        for move in action.moves:
            record = self.records[action.version]
            identity = record.in_use.templates[move.template].identity
            self.records[action.version] = record.promoted_to(
                move.template, identity, move.tag, expected=move.expected
            )

    def _judge(self, document: WorkspaceRuntime, action: Judge) -> Steps:
        assert action.version == document.spec.version
        assert self.fleet_has_proven(document, action.version), "judged good before the fleet had proven it"
        yield 0.2
        self._judged(action.version, "Good", Reason.UP_TO_DATE, "every target has proven it")
        return f"{action.version} is the last known good"

    def _prune(self, document: WorkspaceRuntime, action: Prune) -> Steps:
        assert self.fleet_has_proven(document, action.version), "pruned while there was work"
        yield 0.2
        for old in action.images:
            assert not any(box.version == old.version for box in self.boxes.values()), f"{old.version} runs"
            record = self.records[old.version]
            given_up = record.templates[old.template].model_copy(update={"pruned_time": self.now()})
            self.records[old.version] = record.with_template(old.template, given_up)
        return "deleted"

    def fleet_has_proven(self, document: WorkspaceRuntime, version: str) -> bool:
        """Whether all targets run it whose template has an image of it that may be run."""
        listed = {template.name for template in document.spec.templates}
        record = self.records[version]
        return all(
            box.image_id == image.image_id
            and (box.stopped or (box.version == version and box.content == record.content_sha256))
            for box in self.boxes.values()
            if box.ours and box.template in listed and (image := self.goes_on(record, box.template))
        )

    @staticmethod
    def goes_on(record: ReleaseRecord, name: str | None) -> TemplateRecord | None:
        """The image of a template that may be run."""
        image = record.in_use.templates.get(name or "")
        return image if image is not None and ":candidate-" not in image.image else None

    @staticmethod
    def _template(document: WorkspaceRuntime, name: str) -> Template:
        return next(each for each in document.spec.templates if each.name == name)

    def _answers(self, source: str, name: str) -> None:
        if source in self.unread:
            raise Transient(f"{name} does not answer")

    # --- replacing

    def _replace(self, document: WorkspaceRuntime, action: Replace) -> Steps:
        box = self.boxes[action.target]
        assert not box.replacing, f"{box.name} is replaced twice at a time"
        assert box.ours or box.succession, f"{box.name} must not be touched"
        if action.image_id is not None:
            self._direction(document, action, box)
        box.replacing = True
        try:
            return (yield from self._replaced(document, action, box))
        finally:
            box.replacing = False

    def _direction(self, document: WorkspaceRuntime, action: Replace, box: Box) -> None:
        if action.version == document.spec.version:
            return
        asked = self.records[document.spec.version]
        good = [
            record for record in self.records.values() if record.verdict and record.verdict.value == "Good"
        ]
        assert asked.failed, f"{box.name} goes to {action.version}, which nobody asked for"
        needed = {name for name, image in asked.templates.items() if image.proven}
        whole = [record for record in good if all(self.goes_on(record, name) for name in needed)]
        newest = max(whole or good, key=lambda record: record.verdict.time if record.verdict else self.now())
        assert action.version == newest.version, (
            "the rollback goes to another version than the last known good"
        )
        failed = asked.templates.get(box.template or "")
        assert (failed is not None and box.image_id == failed.image_id) or box.succession, (
            "the rollback moved what did not run the failed version"
        )

    def _replaced(self, document: WorkspaceRuntime, action: Replace, box: Box) -> Steps:
        if action.image_id is None:
            yield from self._asked(1.0)
            box.succession = None
            return "taken back"
        record = self.records[action.version]
        assert self.goes_on(record, action.template), "replaced with an image that was not proven"
        image = record.in_use.templates[action.template].image_id or ""
        assert image in self.images.values(), "replaced with an image that does not exist"
        theirs = not self._template(document, action.template).build.ours
        assert not theirs or image in self.others.probed, "replaced with an image that nobody probed"
        if box.succession is not None and box.succession.image_id != image:
            yield from self._asked(1.0)
            box.succession = None
        if box.succession is None:
            yield from self._asked(0.5)
            box.succession = self._succession(Phase.PREPARED, box, record, image)
        yield from self._asked(0.5)
        if box.stopped:
            self._runs(box, record, image)
            return "stopped: it will start with it"
        if not box.switching:
            yield from self._drained(document, box)
            box.succession = self._succession(Phase.SWITCHING, box, record, image)
            self._within_budget(document)
        yield from self._asked(1.0)
        yield from self._asked(5.0)
        if (record.version, box.name) in self.bad_in_fleet:
            return self._undone(document, action, box)
        self._runs(box, record, image)
        return "proven from inside"

    def _asked(self, seconds: float) -> Generator[float, None, None]:
        """Let the engine take its time for a step, which it does not do while it is away."""
        yield seconds
        self._answers("targets", "The Docker Engine")

    @staticmethod
    def _succession(phase: Phase, box: Box, record: ReleaseRecord, image: str) -> Succession:
        return Succession(phase, sha(box.name)[:12], sha(image)[:12], image, record.version, None)

    def _drained(self, document: WorkspaceRuntime, box: Box) -> Generator[float, None, None]:
        drain = document.spec.rollout.drain
        begun = self.seconds()
        end = None if box.crash_loops else box.busy_until(begun)
        while end is not None and self.seconds() < end:
            if self.seconds() - begun >= drain.timeout_seconds:
                if drain.on_timeout == "Wait":
                    box.succession = None
                    raise Waiting(f"{box.name}: 1 task is under way", retry_after=30.0)
                self.tasks_cut += 1
                return
            yield min(1.0, end - self.seconds())

    def _undone(self, document: WorkspaceRuntime, action: Replace, box: Box) -> str:
        box.succession = None
        record = self.records[action.version]
        text = f"{box.name} did not come up with {record.version} and is back on its old image."
        image = rolled_image(record, action.template, action.image_id or "")
        if image is None:
            return "failed: another image has taken its place since"
        template = self._template(document, action.template)
        cause = held_back_in_fleet(record, template, image, text, now=self.now())
        if cause is not None:
            self.records[action.version] = record.holding_back(action.template, cause)
        elif record.verdict is not None and record.verdict.value == "Good":
            raise Terminal(Reason.ROLLOUT_FAILED, text, fix="Look at its configuration.")
        else:
            self._judged(record.version, "Failed", Reason.ROLLOUT_FAILED, text)
        return "failed: it exited at once"

    def _runs(self, box: Box, record: ReleaseRecord, image: str) -> None:
        box.image_id, box.succession, box.crash_loops = image, None, False
        if not box.stopped:
            box.version, box.content = record.version, record.content_sha256

    def _within_budget(self, document: WorkspaceRuntime) -> None:
        fleet = [box for box in self.boxes.values() if (box.ours or box.switching) and not box.stopped]
        down = [box.name for box in fleet if box.switching and not box.crash_loops]
        most = allowed(document.spec.rollout.max_unavailable, len(fleet))
        assert len(down) <= most, f"{len(down)} of {len(fleet)} are down, {most} may be: {down}"

    # --- judging

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


def _repository(reference: str) -> str:
    return reference.rpartition(":")[0]
