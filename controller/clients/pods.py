"""Asks the workspace in a pod what it runs and does, and to drain: over HTTP at the pod's own address.

Draining over HTTP needs the control token that the owner mounted from a Secret; without it a workspace drains when it is
told to end, within its grace period. Exec is for a runtime that predates `/runtime`, and only where it was switched on.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Self

import aiohttp

from controller.clients.executed import EXEC_SECONDS, ExecResult, report_from_metadata
from controller.clients.kube import PODS, KubeCluster, Place
from controller.clients.workspace import LONGEST_DRAIN_SECONDS, parse_report
from controller.model.errors import Problem, Terminal, Transient
from controller.model.observed import Known, Observed, Unknown
from controller.model.running import RuntimeReport
from controller.model.workload import Pod

USUAL_URL: Final = "http://{podIP}:{port}"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0, sock_connect=1.0)
_BODY_LIMIT_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Told:
    """What the workspace in a pod said of itself, through which container, when it was asked (monotonic seconds)."""

    pod: Pod
    container: str
    asked: float
    said: Known[RuntimeReport]


class PodWorkspaces:
    """The workspaces in the pods of a cluster.

    `url` is where one is asked, with ``{namespace}``, ``{pod}``, ``{podIP}`` and ``{port}``; `package` is the name whose
    metadata tells the version of a runtime that predates `/runtime`, by exec, None where exec is off.
    """

    def __init__(
        self,
        cluster: KubeCluster,
        *,
        url: str = USUAL_URL,
        package: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._url = url
        self._package = package
        self._session: aiohttp.ClientSession | None = None
        self._clock = clock
        self._told: dict[str, _Told] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT,
            connector=aiohttp.TCPConnector(limit=64, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def report(self, pod: Pod, *, container: str) -> Observed[RuntimeReport]:
        """Return what the workspace says of itself now, or why it could not be asked."""
        asked = self._clock()
        said = await self._asked(pod, container)
        if isinstance(said, Known):
            self._told[pod.uid] = _Told(pod, container, asked, said)
        else:
            self._told.pop(pod.uid, None)
        return said

    def told(self, pod: Pod, *, container: str, seconds: float) -> Known[RuntimeReport] | None:
        """Return what it said to whoever asked it last, if that is at most `seconds` ago and the pod is as it was then."""
        told = self._told.get(pod.uid)
        if told is None or self._clock() - told.asked > seconds:
            return None
        return told.said if (told.pod, told.container) == (pod, container) else None

    def forget(self, *, seconds: float) -> None:
        """Drop what was said more than `seconds` ago: pods come and go."""
        since = self._clock() - seconds
        self._told = {uid: told for uid, told in self._told.items() if told.asked >= since}

    async def drain(self, pod: Pod, *, seconds: float, token: str) -> RuntimeReport:
        """Make the workspace refuse new work for `seconds`, and return what is still under way.

        Raises:
            Transient: it cannot be asked, or does not take the token.
        """
        length = max(1, min(int(seconds), LONGEST_DRAIN_SECONDS))
        return await self._control("POST", pod, token, {"timeoutSeconds": length})

    async def resume(self, pod: Pod, *, token: str) -> None:
        """Let the workspace take work again. Raises as `drain`."""
        await self._control("DELETE", pod, token, None)

    async def _asked(self, pod: Pod, container: str) -> Observed[RuntimeReport]:
        answer = await self._over_http("GET", pod, "")
        if isinstance(answer, RuntimeReport):
            return Known(answer)
        reasons = [answer]
        if self._package is not None and pod.running:
            try:
                return Known(await self._from_metadata(pod, container, self._package))
            except Problem as problem:
                reasons.append(str(problem))
        return Unknown("; ".join(reasons), datetime.now(UTC))

    async def _control(self, method: str, pod: Pod, token: str, body: dict[str, int] | None) -> RuntimeReport:
        answer = await self._over_http(method, pod, "/drain", token=token, body=body)
        if isinstance(answer, RuntimeReport):
            return answer
        raise Transient(answer)

    async def _over_http(
        self, method: str, pod: Pod, path: str, *, token: str = "", body: dict[str, int] | None = None
    ) -> RuntimeReport | str:
        """Return the report, or why there is none."""
        if self._session is None:
            raise RuntimeError("PodWorkspaces is used outside its `async with`")
        if pod.address is None:
            return f"pod {pod.name} has no address yet"
        at = Place(PODS, pod.namespace, pod.name)
        url = f"{pod_url(self._url, at, pod.address, pod.port)}/runtime{path}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            request = self._session.request(method, url, json=body, headers=headers, allow_redirects=False)
            async with request as answer:
                if answer.status != HTTPStatus.OK:
                    return f"{url} answered {answer.status}"
                return parse_report(await answer.content.read(_BODY_LIMIT_BYTES))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"{url} did not answer ({type(error).__name__})"
        except ValueError as error:
            return f"{url}: {error}"

    async def _from_metadata(self, pod: Pod, container: str, package: str) -> RuntimeReport:
        at = Place(PODS, pod.namespace, pod.name)

        def execute(command: tuple[str, ...]) -> Awaitable[ExecResult]:
            return self._cluster.execute(at, container, command, timeout_seconds=EXEC_SECONDS)

        return await report_from_metadata(execute, package)


def pod_url(url: str, at: Place, address: str, port: int | None) -> str:
    """Return where a port of the pod `at` is asked, without a slash at the end; `url` is as for `PodWorkspaces`.

    Raises:
        Terminal: WorkspaceUrlInvalid; it cannot be filled in.
    """
    host = f"[{address}]" if ":" in address else address
    values = {"namespace": at.namespace, "pod": at.name, "podIP": host, "port": port}
    try:
        return url.format_map(values).rstrip("/")
    except (KeyError, IndexError, ValueError) as error:
        raise Terminal(
            "WorkspaceUrlInvalid",
            f"WSR_WORKSPACE_URL {url!r} cannot be filled in: {error}.",
            fix="Use {namespace}, {pod}, {podIP} and {port} only.",
        ) from error
