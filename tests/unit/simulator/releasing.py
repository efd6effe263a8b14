"""What the machine in memory does to bring a version to everybody, from the gate to its verdict."""

from packaging.version import Version

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.actions import Dispatch, Judge, Probe, Promote, Prune, Publish, Resume, RollBack, Tag
from controller.model.errors import Terminal, Transient
from controller.model.probe import ProbeFailed, ProbePassed, ProbeReason
from controller.model.record import Dispatched, ReleaseRecord
from controller.model.template_record import TemplateRecord
from controller.plan.outcome import held_back_by, with_failed, with_passed
from controller.plan.rollback import rolled_back
from tests.unit.simulator.box import sha
from tests.unit.simulator.holdings import Holdings, Steps


class Releasing(Holdings):
    """Probes, tags, publishes, tells others, promotes, judges, resumes and prunes."""

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
        self.starts.releases(document, record)
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

    def _dispatch(self, document: WorkspaceRuntime, action: Dispatch) -> Steps:
        record = self.records[action.version]
        assert record.published_time is not None, "told whoever builds of what nobody can install yet"
        self.starts.releases(document, record)
        there = [each.identity for each in record.templates.values() if each.identity in self.images.values()]
        gone = action.template in record.templates and record.templates[action.template].identity not in there
        assert gone or action.template not in record.dispatches, f"{action.repository} was told twice"
        yield 1.0
        self.others.told.append((action.version, action.template))
        self.others.build(self._template(document, action.template), record, now=self.seconds())
        sent = Dispatched(correlation_id=action.correlation_id, sent_time=self.now())
        self.records[action.version] = self.records[action.version].dispatched(action.template, sent)
        return f"{action.repository} was told"

    def _promote(self, document: WorkspaceRuntime, action: Promote) -> Steps:
        asked = self.records.get(document.spec.version)
        rollback = asked is not None and asked.failed and action.version != asked.version
        early = self.waves.lets_tags(document, self)
        assert rollback or early or self.fleet_has_proven(document, action.version), (
            "promoted before the fleet had proven it"
        )
        self.starts.releases(document, self.records[action.version])
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

    def _resume(self, document: WorkspaceRuntime, action: Resume) -> Steps:
        assert action.version == document.spec.version
        yield 0.2
        taken = action.taken
        assert not any(self.records[action.version].failed and each for each in taken), "took a tag with it"
        freed = self.records[action.version].resumed(self.now())
        self.records[action.version] = freed.taking_up(action.request)
        return f"what stopped {action.version} is tried again"

    def _roll_back(self, document: WorkspaceRuntime, action: RollBack) -> Steps:
        assert action.version == document.spec.version
        yield 0.2
        record = self.records[action.version]
        assert action.request not in record.rollback_requests, "went back twice for one request"
        self.records[action.version] = rolled_back(record, action.to, self.now()).going_back(action.request)
        return f"{action.version} is held, and targets return to {action.to}"

    def _prune(self, document: WorkspaceRuntime, action: Prune) -> Steps:
        assert self.fleet_has_proven(document, action.version), "pruned while there was work"
        yield 0.2
        for old in action.images:
            assert not any(box.version == old.version for box in self.boxes.values()), f"{old.version} runs"
            record = self.records[old.version]
            given_up = record.templates[old.template].model_copy(update={"pruned_time": self.now()})
            self.records[old.version] = record.with_template(old.template, given_up)
        return "deleted"
