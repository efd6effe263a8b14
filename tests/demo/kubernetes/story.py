"""The story that the demo tells in a cluster: 0.1.0 runs, 0.1.1 reaches all, 0.1.2 is stopped before anybody sees it, and back."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.demo.client import Lookout
from tests.demo.kubernetes import sight
from tests.demo.kubernetes.desk import Desk
from tests.demo.kubernetes.documents import AGENTS
from tests.demo.kubernetes.ground import Ground
from tests.demo.kubernetes.report import Report, WorkloadSeen
from tests.demo.kubernetes.sight import Pods, PodWorkspace
from tests.demo.milestones import Milestones, published
from tests.demo.story import BROKEN, BROKEN_TEMPLATE, FIRST, NEXT, PLAIN, VISIBLE
from tests.demo.user import TASK_SECONDS, User, expect

TEMPLATES = {name: Path(__file__).parents[1] / "templates" / name for name in ("echo", "greeter")}
_KINDS = ("Deployment", "StatefulSet")
WORKLOADS = {
    (kind, f"ws-{template}-{number}"): template
    for number, kind in enumerate(_KINDS * 2, start=1)
    for template in TEMPLATES
}
"""By kind and name: the template. The first one is busy when the bump comes."""
_KEPT = "ws-echo-2"
"""One whose files are on a claimed volume."""
_READY_SECONDS = 60.0


@dataclass
class Story:
    """The scenes in their order; each one checks what it promised."""

    desk: Desk
    ground: Ground
    pods: Pods
    say: Callable[[str], None]
    report: Report = field(default_factory=lambda: Report(FIRST, NEXT))
    workspaces: list[PodWorkspace] = field(default_factory=list)

    def tell(self) -> Report:
        """Play all scenes.

        Raises:
            DemoError: a promise was broken.
        """
        self._first_version_runs()
        self._bump_reaches_all()
        self._broken_version_is_stopped()
        self._back_to_the_first()
        self.report.published = published(self.ground.cluster.index)
        expect(self.report.published == [FIRST, NEXT], f"the index serves {self.report.published}")
        self.say(f"    the index serves {', '.join(self.report.published)}")
        return self.report

    def _first_version_runs(self) -> None:
        self.say(
            f"{FIRST}: wheel, two images, proof and publication; then {len(WORKLOADS)} workspaces start from the images"
        )
        self.desk.install()
        self.desk.apply()
        self.desk.wait("Ready")
        self.desk.start(WORKLOADS)
        cluster = self.ground.cluster
        self.workspaces = [
            sight.workspace(kind, name, template, pods=self.pods, cluster=cluster)
            for (kind, name), template in WORKLOADS.items()
        ]
        self._until_all_report(FIRST)
        for workspace in self.workspaces:
            expect(
                workspace.card()["description"] == PLAIN, f"the card of {workspace.name} is not the plain one"
            )
        self._in_the_kept_one(f"echo of {_KEPT} > /workspace/note")
        self.desk.wait("Ready")
        self.say(f"    all {len(self.workspaces)} report {FIRST}")

    def _bump_reaches_all(self) -> None:
        self.say(f"{NEXT}: a visible change; one workspace is busy with a task of {TASK_SECONDS} s")
        self.desk.replace_in_runtime(PLAIN, VISIBLE)
        self.desk.release(NEXT, "Say that it is another one")
        self.desk.bump(NEXT)
        before, pods = self._versions(), self.pods.identities()
        busy, *others = self.workspaces
        stages = sight.stages(self.ground, NEXT, TEMPLATES)
        with Lookout(self.workspaces) as lookout, Milestones(stages) as milestones:
            user = User(busy, enough=lambda: all(lookout.first(other.name, NEXT) for other in others))
            # When the gate is passed: whatever the build took, and sooner than the first replacement.
            milestones.when("proven", user.begin)
            bumped = time.monotonic()
            self.desk.apply()
            self.desk.wait("Ready")
            user.leave()
            self._until_all_report(NEXT)
        self.report.tasks_finished, self.report.tasks_cut = user.finished, len(user.errors)
        expect(user.finished and not user.errors, f"a task of {busy.name} was lost: {user.errors}")
        self._note_workloads(before, pods)
        self._note_times(bumped, milestones.times, lookout)
        for line in self.report.lines():
            self.say(f"    {line}")

    def _broken_version_is_stopped(self) -> None:
        self.say(f"{BROKEN}: a rename that only a turn of one template notices")
        self.desk.replace_in_runtime("Exchange", "PastExchange")
        self.desk.release(BROKEN, "Rename a class")
        before = self.pods.identities()
        self.desk.bump(BROKEN)
        self.desk.apply()
        self.desk.wait("Stalled")
        for kind in ("Ready", "Published"):
            expect(
                self.desk.condition(kind)["status"] != "True", f"{kind} is True although {BROKEN} is broken"
            )
        reason = str(self.desk.condition("Stalled")["message"])
        expect(
            BROKEN_TEMPLATE in reason and "Exchange" in reason,
            f"neither template nor error is named in: {reason}",
        )
        expect(BROKEN not in published(self.ground.cluster.index), f"{BROKEN} was published")
        expect(self.pods.identities() == before, f"pods were touched by {BROKEN}")
        self._until_all_report(NEXT)
        self.report.blocked = {"version": BROKEN, "template": BROKEN_TEMPLATE, "reason": reason}
        self.say(f"    stopped before publication: {reason}")

    def _back_to_the_first(self) -> None:
        self.say(f"back to {FIRST}, by editing the version")
        self.desk.bump(FIRST)
        self.desk.apply()
        self.desk.wait("Ready")
        self._until_all_report(FIRST)
        self.report.rolled_back = {"to": FIRST}
        self.say(f"    all {len(self.workspaces)} report {FIRST}")

    def _in_the_kept_one(self, command: str) -> str:
        return self.desk.type("kubectl", "-n", AGENTS, "exec", f"{_KEPT}-0", "--", "sh", "-c", command)

    def _versions(self) -> dict[str, str]:
        return {workspace.name: str(workspace.runtime()["version"]) for workspace in self.workspaces}

    def _until_all_report(self, version: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        for workspace in self.workspaces:
            while (found := _version_of(workspace)) != version:
                expect(time.monotonic() < deadline, f"{workspace.name} reports {found} and not {version}")
                time.sleep(0.1)

    def _note_workloads(self, before: Mapping[str, str], pods: Mapping[str, tuple[str, int]]) -> None:
        after, identities = self._versions(), self.pods.identities()
        for workspace in self.workspaces:
            name = workspace.name
            expect(after[name] == NEXT, f"{name} reports {after[name]} and not {NEXT}")
            expect(identities[name] != pods[name], f"{name} has the pod that it had before the bump")
            expect(workspace.card()["description"] == VISIBLE, f"the change does not show in {name}")
            self.report.workloads.append(
                WorkloadSeen(AGENTS, workspace.kind, name, before[name], after[name])
            )
        note = self._in_the_kept_one("cat /workspace/note").strip()
        expect(note == f"of {_KEPT}", f"{_KEPT} lost what was in its volume")

    def _note_times(self, bumped: float, times: Mapping[str, float], lookout: Lookout) -> None:
        arrivals = lookout.arrivals(NEXT)
        expect(len(arrivals) == len(self.workspaces), f"only these were seen with {NEXT}: {arrivals}")
        (first, _), (last, latecomer) = arrivals[0], arrivals[-1]
        busy = self.workspaces[0].name
        expect(latecomer == busy, f"{latecomer} came last and not the busy {busy}")
        seen = {**times, "firstWorkload": first, "lastWorkload": last}
        self.report.timeline = {name: at - bumped for name, at in seen.items()}
        self.report.seconds = last - bumped


def _version_of(workspace: PodWorkspace) -> str | None:
    try:
        return str(workspace.runtime()["version"])
    except OSError:
        return None
