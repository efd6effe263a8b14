"""What the machine in memory does to give a container another image."""

from collections.abc import Generator

from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Replace
from controller.model.errors import Terminal, Waiting
from controller.model.record import FailedTarget, ReleaseRecord, Verdict
from controller.model.target import Phase, Succession
from controller.plan.budget import allowed
from controller.plan.outcome import failed_on, held_back_in_fleet, rolled_image
from tests.unit.simulator.box import Box, sha
from tests.unit.simulator.holdings import Holdings, Steps


class Replacing(Holdings):
    """Replaces, and takes back what does not come up."""

    def _replace(self, document: WorkspaceRuntime, action: Replace) -> Steps:
        box = self.boxes[action.target]
        assert not box.replacing, f"{box.name} is replaced twice at a time"
        assert box.ours or box.succession, f"{box.name} must not be touched"
        if action.image_id is not None:
            self._direction(document, action, box)
            self.waves.begins(document, action, box, self)
            self.starts.begins(document, action.version, action.image_id, box, self)
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
        if asked.verdict is not None and asked.verdict.returns_to is not None:
            assert action.version == asked.verdict.returns_to, "its owner went back to another version"
            return
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
        yield from self._asked(box.boot_seconds)
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
                    self.waves.put_off.add(box.id)
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
            verdict = Verdict(value="Failed", reason=Reason.ROLLOUT_FAILED, message=text, time=self.now())
            failure = FailedTarget(image=image.identity, wave=action.wave, message=text, time=self.now())
            self.records[record.version] = failed_on(
                record, f"{document.key} {box.id}", failure, spare=action.spare, verdict=verdict
            )
        return "failed: it exited at once"

    def _runs(self, box: Box, record: ReleaseRecord, image: str) -> None:
        box.image_id, box.succession, box.crash_loops = image, None, False
        self.waves.put_off.discard(box.id)
        if not box.stopped:
            box.version, box.content = record.version, record.content_sha256
            box.proven_at = self.seconds()

    def _within_budget(self, document: WorkspaceRuntime) -> None:
        fleet = [box for box in self.boxes.values() if (box.ours or box.switching) and not box.stopped]
        down = [box.name for box in fleet if box.switching and not box.crash_loops]
        most = allowed(document.spec.rollout.max_unavailable, len(fleet))
        assert len(down) <= most, f"{len(down)} of {len(fleet)} are down, {most} may be: {down}"
