"""A small world in memory that behaves as the real one does, and objects loudly when it is wronged.

Every action is a generator of steps: what is between two `yield`s happens at once, and a crash, a delay or a mishap
can fall on any `yield`. The assertions here are the rules that do not bend; a planner that breaks one fails the test
at that moment, not at the end.
"""

import hashlib
from collections.abc import Callable, Container, Generator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from packaging.version import Version

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.container import ContainerState
from controller.model.errors import PartlyFailed, Terminal, Transient, Waiting
from controller.model.observation import Observation
from controller.model.observed import Known, Observed, Unknown
from controller.model.package import IndexFile, Release, ServedPackage
from controller.model.plan import (
    Action,
    Adopt,
    Cascade,
    Judge,
    Package,
    Probe,
    Promote,
    Publish,
    Replace,
    Tag,
    TemplateBuild,
)
from controller.model.record import (
    Artifact,
    FullBuild,
    ReleaseRecord,
    TemplateInputs,
    TemplateRecord,
    Verdict,
)
from controller.model.running import RuntimeReport, RuntimeState
from controller.model.target import Phase, Succession, Target
from controller.plan.budget import allowed
from controller.plan.full_builds import answered
from controller.plan.steering import steered

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
    """Sources that cannot be read now: source, index, records, images, templates, bases, targets."""
    bad_at_gate: set[tuple[str, str]] = field(default_factory=set)
    """(version, template) whose candidate fails."""
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
        return Observation(
            source=self._read("source", self.tree) if needed else None,
            index=self._read("index", self._served(document.spec.package.name)) if needed else None,
            records=self._read("records", dict(self.records)),
            images=self._read("images", dict(self.images)),
            templates={name: self._read("templates", parts_of(value)) for name, value in self.inputs.items()},
            targets=self.targets(document),
            bases={BASE_NAME: self._read("bases", self.base)},
        )

    def targets(self, document: WorkspaceRuntime) -> Observed[tuple[Target, ...]]:
        listed = {template.name for template in document.spec.templates}
        seen = (box.target(self.seconds(), listed) for box in self.boxes.values())
        return self._read("targets", steered(document, seen))

    def _read(self, source: str, value: T) -> Observed[T]:
        if source in self.unread:
            return Unknown("it is away", datetime(2026, 5, 1, tzinfo=UTC))
        return Known(value)

    def _served(self, package: str) -> ServedPackage:
        files = {
            version: IndexFile(f"x-{version}-py3-none-any.whl", "http://index/x.whl", sha256)
            for version, sha256 in self.index.items()
        }
        return ServedPackage(package, {version: Release(version, (file,)) for version, file in files.items()})

    # --- acting

    def perform(self, document: WorkspaceRuntime, action: Action) -> Steps:
        match action:
            case Adopt():
                return self._adopt(document, action)
            case Package():
                return self._package(document, action)
            case Cascade():
                return self._cascade(document, action)
            case Probe():
                return self._probe(action)
            case Tag():
                return self._tag(document, action)
            case Publish():
                return self._publish(document, action)
            case Replace():
                return self._replace(document, action)
            case Promote():
                return self._promote(document, action)
            case Judge():
                return self._judge(document, action)

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
        return "as the index serves it"

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
        failed = []
        for build in action.builds:
            full_build = self._full_build(build)
            image = image_id(build.template, action.wheel_sha256, full_build.digest)
            self.builds.append((action.version, build.template, build.inputs_sha256))
            yield from self._built_once(f"image {image}", 2.0)
            if (action.version, build.template) in self.bad_builds:
                failed.append(build.template)
                continue
            reference = f"{self._repository(document, build.template)}:candidate-{sha(image)[:8]}"
            self.images[reference] = image
            made[build.template] = TemplateRecord(
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
            self.records[action.version] = record
        if failed:
            messages = {name: f"Template {name}: pip found nothing." for name in failed}
            raise PartlyFailed(Reason.BUILD_FAILED, messages, fix="Correct the template.")
        return f"{len(made)} images"

    def _full_build(self, build: TemplateBuild) -> FullBuild:
        """Return the full build that an image is put on: the last one, or another one when that is asked for."""
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

    def _probe(self, action: Probe) -> Steps:
        assert action.digest in self.images.values(), "probed an image that does not exist"
        yield 6.0
        record = self.records[action.version]
        template = record.templates.get(action.template)
        if template is None or template.identity != action.digest:
            return "no longer the candidate"
        if (action.version, action.template) in self.bad_at_gate:
            message = f"Template {action.template}: turn 1 failed: KeyError: 'colour'."
            if record.verdict is not None and record.verdict.value == "Good":
                raise Terminal(Reason.GATE_FAILED, message, fix="What runs stays as it is.")
            self._judged(action.version, "Failed", Reason.GATE_FAILED, message)
            return "failed turn 1 of 2"
        proven = template.model_copy(update={"proven": True})
        self.records[action.version] = record.with_template(action.template, proven)
        return "booted and answered two turns"

    def _judged(self, version: str, value: str, reason: str, message: str) -> None:
        verdict = Verdict.model_validate(
            {"value": value, "reason": reason, "message": message, "time": self.now()}
        )
        self.records[version] = self.records[version].judged(verdict)

    def _tag(self, document: WorkspaceRuntime, action: Tag) -> Steps:
        for name in action.templates:
            recorded = self.records[action.version].templates[name]
            assert recorded.proven, f"{name} was tagged unproven"
            reference = recorded.image
            if ":candidate-" in reference:
                inputs = reference.rsplit("candidate-", 1)[1]
                reference = f"{self._repository(document, name)}:{action.version}-nocommi-{inputs}"
            assert self.images.get(reference, recorded.identity) == recorded.identity, (
                "an immutable tag moved"
            )
            self.images[reference] = recorded.identity
            yield 0.5
            tagged = recorded.model_copy(update={"image": reference})
            self.records[action.version] = self.records[action.version].with_template(name, tagged)
        return "immutable"

    def _publish(self, document: WorkspaceRuntime, action: Publish) -> Steps:
        record = self.records[action.version]
        assert record.wheel.sha256 == action.wheel_sha256, "published other bytes than the recorded ones"
        for template in document.spec.templates:
            proven = template.name in record.templates and record.templates[template.name].proven
            assert proven, f"published before {template.name} was proven"
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
        return "the index serves it"

    def _promote(self, document: WorkspaceRuntime, action: Promote) -> Steps:
        asked = self.records.get(document.spec.version)
        rollback = asked is not None and asked.failed and action.version != asked.version
        assert rollback or self.fleet_has_proven(document, action.version), (
            "promoted before the fleet had proven it"
        )
        for template in document.spec.templates:
            if template.name in action.templates:
                for tag in template.tags:
                    identity = self.records[action.version].in_use.templates[template.name].identity
                    self.images[f"{template.image}:{tag}"] = identity
                    yield 0.5
        return "moved"

    def _judge(self, document: WorkspaceRuntime, action: Judge) -> Steps:
        assert action.version == document.spec.version
        assert self.fleet_has_proven(document, action.version), "judged good before the fleet had proven it"
        yield 0.2
        self._judged(action.version, "Good", Reason.UP_TO_DATE, "every target has proven it")
        return f"{action.version} is the last known good"

    def fleet_has_proven(self, document: WorkspaceRuntime, version: str) -> bool:
        listed = {template.name for template in document.spec.templates}
        record = self.records[version]
        return all(
            box.image_id == record.templates[box.template or ""].image_id
            and (box.stopped or (box.version == version and box.content == record.content_sha256))
            for box in self.boxes.values()
            if box.ours and box.template in listed
        )

    @staticmethod
    def _repository(document: WorkspaceRuntime, template: str) -> str:
        return next(each.image for each in document.spec.templates if each.name == template)

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
        newest = max(good, key=lambda record: record.verdict.time if record.verdict else self.now())
        assert action.version == newest.version, (
            "the rollback goes to another version than the last known good"
        )
        failed = asked.templates[box.template or ""].image_id
        assert box.image_id == failed or box.succession, (
            "the rollback moved what did not run the failed version"
        )

    def _replaced(self, document: WorkspaceRuntime, action: Replace, box: Box) -> Steps:
        if action.image_id is None:
            yield from self._asked(1.0)
            box.succession = None
            return "taken back"
        record = self.records[action.version]
        image = record.in_use.templates[action.template].image_id or ""
        assert image in self.images.values(), "replaced with an image that does not exist"
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
            return self._undone(record, box)
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

    def _undone(self, record: ReleaseRecord, box: Box) -> str:
        box.succession = None
        text = f"{box.name} did not come up with {record.version} and is back on its old image."
        if record.verdict is not None and record.verdict.value == "Good":
            raise Terminal(Reason.ROLLOUT_FAILED, text, fix="Look at its configuration.")
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

    def differences(self, document: WorkspaceRuntime, *, held_too: bool = False) -> Iterable[str]:
        """Yield what is not as the document asks, of the targets that may be moved, or of all that are this object's.

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
        for template in document.spec.templates:
            recorded = record.templates.get(template.name)
            if (
                recorded is None
                or not recorded.proven
                or self.images.get(recorded.image) != recorded.identity
            ):
                yield f"{template.name} has no proven image"
                continue
            yield from self._behind(document, template, recorded)
            for tag in template.tags if template.promote and not Version(version).is_prerelease else ():
                if self.images.get(f"{template.image}:{tag}") != recorded.identity:
                    yield f"{template.image}:{tag} names another image"
        listed = {template.name for template in document.spec.templates}
        for box in self.boxes.values():
            asked = (box.ours or held_too) and box.template in listed
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

    @staticmethod
    def _box_is_right(box: Box, record: ReleaseRecord) -> bool:
        if box.succession is not None:
            return False
        if box.image_id != record.templates[box.template or ""].image_id:
            return False
        answers = not box.silent and not box.crash_loops
        return box.stopped or (
            answers and box.version == record.version and box.content == record.content_sha256
        )
