"""What Kopf calls: an event for every change of an object, a daemon for as long as it is there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from typing import Any, Final

import kopf

from controller.api.crd import PLURAL
from controller.api.names import FINALIZER, GROUP, VERSION
from controller.clients.kube import SILENCE_SECONDS, JsonObject
from controller.operator.driver import Driver, Office
from controller.operator.inbox import Inbox
from controller.operator.narrator import News

_END_SECONDS: Final = 20.0
"""How long the work on an object may take to clean up when it is to end."""
_REQUEST_SECONDS: Final = 30.0
_PAUSES: Final = (1.0, 1.0, 2.0, 3.0, 5.0)
"""Kopf would give up after 54 seconds, and the process end with it."""
_THREADS: Final = 4
"""Nothing of ours runs in Kopf's threads; without a bound it would keep one for each processor and more."""
_EVENT_BACKOFFS: Final = (1.0, 3.0)
"""An event is for whoever looks now: what is not taken soon is not worth more."""
_EVENT_PREFIX: Final = "workspace-runtime-"


class _Patience:
    """Pauses between one question and the next to a server that does not answer; without an end, as an outage has none."""

    def __iter__(self) -> Iterator[float]:
        return chain(_PAUSES, repeat(_PAUSES[-1]))


def settings(*, silence_seconds: float = SILENCE_SECONDS) -> kopf.OperatorSettings:
    """Return how Kopf is to behave: no annotations, no peering, no scanning, and no words of its own in events."""
    made = kopf.OperatorSettings()
    made.persistence.finalizer = FINALIZER
    made.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=f"kopf.{GROUP}")
    made.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=f"kopf.{GROUP}")
    made.peering.standalone = True
    made.scanning.disabled = True
    made.posting.loggers = False
    made.posting.default_backoffs = _EVENT_BACKOFFS
    made.posting.reporting_component = "workspace-runtime"
    made.posting.event_name_prefix = _EVENT_PREFIX
    made.networking.request_timeout = _REQUEST_SECONDS
    made.networking.connect_timeout = _REQUEST_SECONDS
    made.networking.error_backoffs = _Patience()
    made.watching.inactivity_timeout = silence_seconds
    made.execution.executor = ThreadPoolExecutor(_THREADS)
    made.execution.max_workers = _THREADS
    made.background.instant_exit_timeout = 0.5
    return made


class Handlers:
    """The daemons of one operator, by the identity of their objects."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._inboxes: dict[str, Inbox] = {}

    def registry(self) -> kopf.OperatorRegistry:
        """Return what Kopf is to call."""
        made = kopf.OperatorRegistry()
        kopf.on.login(registry=made)(self._log_in)
        kopf.on.event(GROUP, VERSION, PLURAL, registry=made)(self._seen)
        kopf.daemon(GROUP, VERSION, PLURAL, registry=made, cancellation_timeout=_END_SECONDS)(self._drive)
        return made

    async def _log_in(self, **_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 -- what else Kopf tells
        found = await self._office.cluster.credentials()
        return kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_file,
            insecure=found.insecure,
            scheme=found.scheme,
            token=found.token,
            certificate_path=found.certificate,
            private_key_path=found.key,
        )

    async def _seen(self, event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 -- what else Kopf tells
        """Put what was delivered where the object's daemon finds it; Kopf does this before it starts one."""
        found: JsonObject = dict(event["object"])
        uid = found["metadata"]["uid"]
        if event["type"] == "DELETED":
            if (inbox := self._inboxes.pop(uid, None)) is not None:
                inbox.end()
        elif uid in self._inboxes:
            self._inboxes[uid].put(found)
        else:
            self._inboxes[uid] = Inbox(found)

    async def _drive(self, body: kopf.Body, uid: str, **_: Any) -> None:  # noqa: ANN401 -- what else Kopf tells
        inbox = self._inboxes.setdefault(uid, Inbox(dict(body)))

        def post(news: News) -> None:
            kopf.event(body, type=news.type, reason=news.reason, message=news.message)

        await Driver(self._office, inbox, post).run()
