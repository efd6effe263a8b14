"""The story that the demo tells: 0.1.0 runs, 0.1.1 reaches all, 0.1.2 is stopped before anybody sees it, and back."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.demo.client import Lookout, Workspace
from tests.demo.desk import Desk, Run
from tests.demo.milestones import Milestones, published
from tests.demo.place import TEMPLATES, Place, Shape
from tests.demo.report import ContainerSeen, Report
from tests.demo.user import TASK_SECONDS, User, expect
from tests.parts.index import Index

FIRST, NEXT, BROKEN = "0.1.0", "0.1.1", "0.1.2"
BROKEN_TEMPLATE = "greeter"
_READY_SECONDS = 60.0
PLAIN = "A Molecule AI workspace"
VISIBLE = "A Molecule AI workspace that got 0.1.1 while it worked"


@dataclass
class Story:
    """The scenes in their order; each one checks what it promised."""

    desk: Desk
    place: Place
    index: Index
    say: Callable[[str], None]
    report: Report = field(default_factory=lambda: Report(FIRST, NEXT))
    workspaces: list[Workspace] = field(default_factory=list)
    neighbours: list[str] = field(default_factory=list)

    def tell(self) -> Report:
        """Play all scenes.

        Raises:
            DemoError: a promise was broken.
        """
        self._first_version_runs()
        untouched = self.place.shapes(self.neighbours)
        self._bump_reaches_all()
        self._broken_version_is_stopped()
        self._back_to_the_first()
        expect(
            self.place.shapes(self.neighbours) == untouched,
            f"a neighbour was touched: {', '.join(self.neighbours)}",
        )
        self.report.published = published(self.index)
        expect(self.report.published == [FIRST, NEXT], f"the index serves {self.report.published}")
        self.say(
            f"    the index serves {', '.join(self.report.published)}; two foreign ws-* containers were not touched"
        )
        return self.report

    def _first_version_runs(self) -> None:
        self.say(
            f"{FIRST}: wheel, two images, proof and publication; then eight workspaces start from the images"
        )
        self._run_to_the_end()
        images = {name: self._image(name) for name in TEMPLATES}
        self.workspaces = self.place.populate(images)
        self.neighbours = self.place.add_neighbours(images["echo"])
        self._until_all_report(FIRST)
        for workspace in self.workspaces:
            self.place.write(workspace, f"of {workspace.name}")
            expect(
                workspace.card()["description"] == PLAIN,
                f"the card of {workspace.name} is not the plain one",
            )
        self.say(f"    all {len(self.workspaces)} report {FIRST}")

    def _bump_reaches_all(self) -> None:
        self.say(f"{NEXT}: a visible change; one workspace is busy with a task of {TASK_SECONDS} s")
        self.desk.replace_in_runtime(PLAIN, VISIBLE, file="config.py")
        before, versions = self._shapes(), self._versions()
        busy, *others = self.workspaces
        with (
            Lookout(self.workspaces) as lookout,
            Milestones(self.place.stages(NEXT, self.index)) as milestones,
        ):
            user = User(busy, enough=lambda: all(lookout.first(other.name, NEXT) for other in others))
            # When the gate is passed: whatever the build took, and sooner than the first replacement.
            milestones.when("proven", user.begin)
            bumped = time.monotonic()
            self.desk.bump(NEXT)
            run = self._run_to_the_end()
            user.leave()
        self.report.tasks_finished, self.report.tasks_cut = user.finished, len(user.errors)
        expect(user.finished and not user.errors, f"a task of {busy.name} was lost: {user.errors}")
        after, now = self._shapes(), self._versions()
        for workspace in self.workspaces:
            name = workspace.name
            down = lookout.down_seconds(name, FIRST, NEXT)
            expect(down is not None and now[name] == NEXT, f"{name} reports {now[name]} and not {NEXT}")
            expect(before[name].kept_by(after[name]), f"{name} changed: {before[name]} became {after[name]}")
            expect(self.place.note(workspace) == f"of {name}", f"{name} lost what was in its volume")
            expect(workspace.card()["description"] == VISIBLE, f"the change does not show in {name}")
            self.report.containers.append(
                ContainerSeen(
                    name, workspace.template, versions[name], now[name], round(down or 0.0, 2),
                    before[name].identity, after[name].identity,
                )
            )  # fmt: skip
        self._note_times(bumped, run, milestones, lookout)
        for line in self.report.lines():
            self.say(f"    {line}")

    def _broken_version_is_stopped(self) -> None:
        self.say(f"{BROKEN}: a rename that only a turn of one template notices")
        self.desk.replace_in_runtime("Exchange", "PastExchange")
        before = self._shapes()
        self.desk.bump(BROKEN)
        run = self.desk.wsr("run", "--once", show=True)
        expect(run.code == 1, f"wsr run ended with {run.code} although {BROKEN} is broken")
        reason = self._stalled()
        expect(
            BROKEN_TEMPLATE in reason and "Exchange" in reason,
            f"neither template nor error is named in: {reason}",
        )
        expect(BROKEN not in published(self.index), f"{BROKEN} was published")
        expect(self._shapes() == before, f"containers were touched by {BROKEN}")
        self._until_all_report(NEXT)
        self.report.blocked = {"version": BROKEN, "template": BROKEN_TEMPLATE, "reason": reason}
        self.say(f"    stopped before publication: {reason}")

    def _back_to_the_first(self) -> None:
        self.say(f"back to {FIRST}, by editing the version")
        self.desk.bump(FIRST)
        self._run_to_the_end()
        self._until_all_report(FIRST)
        self.report.rolled_back = {"to": FIRST}
        self.say(f"    all {len(self.workspaces)} report {FIRST}")

    def _run_to_the_end(self) -> Run:
        run = self.desk.wsr("run", "--once", show=True)
        expect(run.code == 0, f"wsr run ended with {run.code}:\n{run.text[-2000:]}")
        return run

    def _image(self, template: str) -> str:
        run = self.desk.wsr("image", template)
        expect(run.code == 0 and run.out.strip(), f"wsr image {template} ended with {run.code}: {run.text}")
        return run.out.strip()

    def _stalled(self) -> str:
        conditions = self.desk.facts("status")["conditions"]
        return " ".join(one["message"] for one in conditions if one["type"] == "Stalled")

    def _shapes(self) -> dict[str, Shape]:
        return self.place.shapes([workspace.name for workspace in self.workspaces])

    def _versions(self) -> dict[str, str]:
        return {workspace.name: str(workspace.runtime()["version"]) for workspace in self.workspaces}

    def _until_all_report(self, version: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        for workspace in self.workspaces:
            while _version_of(workspace) != version:
                expect(
                    time.monotonic() < deadline,
                    f"{workspace.name} reports {_version_of(workspace)} and not {version}",
                )
                time.sleep(0.1)

    def _note_times(self, bumped: float, run: Run, milestones: Milestones, lookout: Lookout) -> None:
        arrivals = lookout.arrivals(NEXT)
        (first, _), (last, latecomer) = arrivals[0], arrivals[-1]
        expect(len(arrivals) == len(self.workspaces), f"only these were seen with {NEXT}: {arrivals}")
        busy = self.workspaces[0].name
        expect(latecomer == busy, f"{latecomer} came last and not the busy {busy}")
        times = {**milestones.times, "firstContainer": first, "lastContainer": last}
        built = re.compile(rf"package {NEXT}: (?!because)")
        for line in run.lines:
            if built.search(line.text):
                times["wheel"] = line.time
        self.report.timeline = {name: at - bumped for name, at in times.items()}
        self.report.seconds = last - bumped


def _version_of(workspace: Workspace) -> str | None:
    try:
        return str(workspace.runtime()["version"])
    except OSError:
        return None
