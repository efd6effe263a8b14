"""Asks a running workspace what it runs and does, and to drain: over HTTP where its address can be reached, else by exec.

HTTP costs a millisecond and an exec a tenth of a second of the engine's time, so exec is for what HTTP cannot do:
engines on other machines, a network without an address, an event loop that is blocked, and draining one that has work,
for which the control socket inside the container needs no token. One without work drains on a signal, which needs none
either and costs a fifth of an exec; HTTP tells whether it was heard.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp

from controller.api.names import IMAGE_LABEL_CONTENT, IMAGE_LABEL_VERSION
from controller.clients.docker import DockerEngine
from controller.clients.executed import EXEC_SECONDS, ExecResult, report_from_metadata
from controller.model.container import ContainerSummary
from controller.model.errors import Problem, Transient
from controller.model.observed import Known, Observed, Unknown
from controller.model.running import RuntimeReport, RuntimeState

_USUAL_PORT: Final = 8000
_HTTP_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0, sock_connect=0.25)
_CONTROL: Final = ("molecule-runtime", "ctl")
_DRAIN_SIGNAL: Final = "SIGURG"
_SIGNAL_SECONDS: Final = 0.5
"""How long a signal may take to show; where an init or a shell keeps it for itself, it never does."""
_SIGNAL_PAUSE_SECONDS: Final = 0.01
LONGEST_DRAIN_SECONDS: Final = 86_400
"""What the runtime accepts; a drain that nobody renews ends by itself."""
_BODY_LIMIT_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a workspace can be asked. `has_control` says that its image carries a runtime that knows `ctl`.

    NOTE: A runtime that predates it ignores its arguments: exec of `molecule-runtime ctl` would start a second one.
    """

    container_id: str
    url: str | None
    has_control: bool

    @classmethod
    def of_summary(cls, summary: ContainerSummary) -> Place:
        """Return the place of a listed container."""
        ports = {port.container_port for port in summary.ports if port.protocol == "tcp"}
        return cls(summary.id, _url(summary.addresses.values(), ports), _knows_control(summary.labels))

    @classmethod
    def of_inspection(cls, inspection: Mapping[str, Any]) -> Place:
        """Return the place of an inspected container."""
        networks = inspection["NetworkSettings"].get("Networks") or {}
        exposed = (port.partition("/") for port in inspection["Config"].get("ExposedPorts") or ())
        return cls(
            inspection["Id"],
            _url(
                [endpoint["IPAddress"] for endpoint in networks.values() if endpoint.get("IPAddress")],
                {int(number) for number, _, protocol in exposed if protocol == "tcp"},
            ),
            _knows_control(inspection["Config"].get("Labels") or {}),
        )


def _url(addresses: Any, ports: set[int]) -> str | None:  # noqa: ANN401 -- any iterable of strings
    address = next(iter(addresses), None)
    port = _USUAL_PORT if not ports or _USUAL_PORT in ports else min(ports)
    return None if address is None else f"http://{address}:{port}/runtime"


def _knows_control(labels: Mapping[str, str]) -> bool:
    return IMAGE_LABEL_CONTENT in labels or IMAGE_LABEL_VERSION in labels


class Workspaces:
    """The workspaces of one engine. `package` is the name whose metadata tells the version of an older runtime."""

    def __init__(self, engine: DockerEngine, *, package: str | None = None) -> None:
        self._engine = engine
        self._package = package
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=_HTTP_TIMEOUT,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def reaches(self, place: Place) -> bool:
        """Whether the workspace may be asked over HTTP from here."""
        return self._engine.is_local and place.url is not None

    async def report(self, place: Place, *, by_exec: bool = True) -> Observed[RuntimeReport]:
        """Return what the workspace says of itself, or why it could not be asked.

        With `by_exec` False only HTTP is tried: for polls that are too frequent for an exec.
        """
        reasons = []
        if place.url is not None and self.reaches(place):
            answer = await self._over_http(place.url)
            if isinstance(answer, RuntimeReport):
                return Known(answer)
            reasons.append(answer)
        if by_exec:
            try:
                return Known(await self._by_exec(place))
            except Problem as problem:
                reasons.append(str(problem))
        return Unknown("; ".join(reasons) or "it has no address to ask", datetime.now(UTC))

    async def drain(self, place: Place, *, seconds: float) -> RuntimeReport:
        """Make the workspace refuse new work for `seconds`, and return what is still under way.

        Raises:
            Conflict: the container does not run.
            Transient: it cannot be asked, or does not know how.
        """
        drained = await self._drain_by_signal(place)
        if drained is not None:
            return drained
        length = max(1, min(int(seconds), LONGEST_DRAIN_SECONDS))
        return await self._control(place, "drain", "--timeout", str(length))

    async def _drain_by_signal(self, place: Place) -> RuntimeReport | None:
        """Return the report of one that had no work and takes none now; None where only asking by exec will do.

        One with work needs a drain as long as we are ready to wait, and the one that a signal begins has the runtime's
        own length.
        """
        observed = await self.report(place, by_exec=False)
        if not _drains_on_signal(observed):
            return None
        await self._engine.signal(place.container_id, _DRAIN_SIGNAL)
        deadline = time.monotonic() + _SIGNAL_SECONDS
        while time.monotonic() < deadline:
            observed = await self.report(place, by_exec=False)
            if not isinstance(observed, Known):
                return None
            if observed.value.state is RuntimeState.DRAINING:
                return observed.value if observed.value.idle else None
            await asyncio.sleep(_SIGNAL_PAUSE_SECONDS)
        return None

    async def resume(self, place: Place) -> None:
        """Let the workspace take work again; without effect when it does not drain. Raises as `drain`."""
        await self._control(place, "resume")

    async def _over_http(self, url: str) -> RuntimeReport | str:
        """Return the report, or why there is none."""
        if self._session is None:
            raise RuntimeError("Workspaces is used outside its `async with`")
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status != HTTPStatus.OK:
                    return f"{url} answered {answer.status}"
                return parse_report(await answer.content.read(_BODY_LIMIT_BYTES))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"{url} did not answer ({type(error).__name__})"
        except ValueError as error:
            return f"{url}: {error}"

    async def _by_exec(self, place: Place) -> RuntimeReport:
        if place.has_control:
            return await self._control(place, "status")
        if self._package is None:
            raise Transient("its image has no runtime that can be asked")
        return await self._from_metadata(place, self._package)

    async def _control(self, place: Place, *arguments: str) -> RuntimeReport:
        # What serves `/runtime` knows `ctl`, whatever the labels of its image say.
        known = place.has_control or isinstance(await self.report(place, by_exec=False), Known)
        if not known:
            raise Transient("its runtime predates `molecule-runtime ctl`")
        ran = await self._engine.execute(
            place.container_id, (*_CONTROL, *arguments), timeout_seconds=EXEC_SECONDS
        )
        if ran.exit_code:
            text = " ".join(ran.output.decode(errors="replace").split())[:300]
            raise Transient(f"`molecule-runtime ctl {arguments[0]}` ended with {ran.exit_code}: {text}")
        try:
            return parse_report(ran.output)
        except ValueError as error:
            raise Transient(f"`molecule-runtime ctl {arguments[0]}`: {error}") from error

    async def _from_metadata(self, place: Place, package: str) -> RuntimeReport:
        def execute(command: tuple[str, ...]) -> Awaitable[ExecResult]:
            return self._engine.execute(place.container_id, command, timeout_seconds=EXEC_SECONDS)

        return await report_from_metadata(execute, package)


def _drains_on_signal(observed: Observed[RuntimeReport]) -> bool:
    """Whether it has no work and says that it listens to the one signal that hurts nobody who does not."""
    if not isinstance(observed, Known):
        return False
    report = observed.value
    return bool(report.idle) and report.state is RuntimeState.SERVING and report.drain_signal == _DRAIN_SIGNAL


def parse_report(body: bytes) -> RuntimeReport:
    """Return the document that `/runtime` and `ctl` answer with.

    Raises:
        ValueError: it is none; the text says what is wrong.
    """
    try:
        document = json.loads(body)
        adapter = document.get("adapter") or {}
        return RuntimeReport(
            package=str(document["package"]),
            version=str(document["version"]),
            content_sha256=document["contentSha256"],
            state=RuntimeState(document["state"]),
            active_tasks=int(document["activeTasks"]),
            queued_tasks=int(document["queuedTasks"]),
            oldest_task_seconds=document.get("oldestTaskSeconds"),
            commit=document.get("commit"),
            adapter=adapter.get("name"),
            started_at=datetime.fromisoformat(document["startedAt"]) if document.get("startedAt") else None,
            drain_signal=document.get("drainSignal"),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a runtime's report ({type(error).__name__}: {error})") from error
