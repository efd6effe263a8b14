"""What the demo in a cluster saw, as a table for people and as JSON for whoever checks it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.demo.report import Told


@dataclass(frozen=True)
class WorkloadSeen:
    """What a workload's pod said of itself before and after the bump."""

    namespace: str
    kind: str
    name: str
    before: str
    after: str


@dataclass
class Report(Told):
    """What is told of workloads."""

    workloads: list[WorkloadSeen] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The report as it is written."""
        return {**super().document(), "workloads": [asdict(seen) for seen in self.workloads]}

    def lines(self) -> Iterator[str]:
        """The timeline and the workloads, for people."""
        yield from super().lines()
        yield f"{'workload':<36}{'before':<8}{'after':<8}"
        for seen in self.workloads:
            yield f"{f'{seen.namespace}/{seen.kind}/{seen.name}':<36}{seen.before:<8}{seen.after:<8}"
