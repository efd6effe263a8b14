"""Build the one status document that GET /runtime and the control socket both answer with."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType

from drain_signal import SIGNAL
from identity import Identity, adapter_sha256
from lifecycle import Lifecycle
from task_ledger import TaskLedger


@dataclass(frozen=True, kw_only=True)
class AdapterIdentity:
    """Which adapter runs; `content_sha256` is None for a module without a file."""

    module: str
    name: str
    content_sha256: str | None

    @classmethod
    def of(cls, module: ModuleType, name: str) -> "AdapterIdentity":
        """Identify the adapter whose module was imported."""
        return cls(module=module.__name__, name=name, content_sha256=adapter_sha256(module))


class StatusBoard:
    """What this workspace says about itself. Safe from any thread."""

    def __init__(self, identity: Identity, lifecycle: Lifecycle, ledger: TaskLedger) -> None:
        self.identity = identity
        self.adapter: AdapterIdentity | None = None
        self._lifecycle = lifecycle
        self._ledger = ledger
        self._started = time.monotonic()
        self._started_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def uptime_seconds(self) -> float:
        """Return the age of this process's runtime."""
        return time.monotonic() - self._started

    def document(self) -> dict[str, object]:
        """Return the document; `adapter` is null until the adapter's module is imported."""
        workload = self._ledger.workload()
        adapter = self.adapter
        return {
            "package": self.identity.package,
            "version": self.identity.version,
            "contentSha256": self.identity.content_sha256,
            "commit": self.identity.commit,
            "adapter": adapter
            and {"module": adapter.module, "name": adapter.name, "contentSha256": adapter.content_sha256},
            "state": self._lifecycle.state(),
            "activeTasks": workload.active,
            "queuedTasks": workload.queued,
            "oldestTaskSeconds": round(workload.oldest_seconds, 3),
            "startedAt": self._started_at,
            "drainSignal": SIGNAL.name,
        }

    def line(self) -> str:
        """Return the document as one line of JSON."""
        return json.dumps(self.document(), separators=(",", ":"))
