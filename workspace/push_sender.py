"""Tell webhooks what becomes of their tasks, in order, without keeping the tasks waiting."""

import asyncio
import logging
from collections import deque
from typing import Any

import httpx
from a2a.compat.v0_3.conversions import to_compat_task
from a2a.server.context import ServerCallContext
from a2a.server.tasks import PushNotificationEvent, PushNotificationSender, TaskStore
from a2a.types import TaskArtifactUpdateEvent
from a2a.utils.constants import A2A_JSON_MEDIA_TYPE
from a2a.utils.proto_utils import to_stream_response
from google.protobuf.json_format import MessageToDict

from policies.limits import MAX_WAITING_NOTIFICATIONS
from push_configs import AddressRefused, PushConfigs, Webhook, addresses_of

TIMEOUT_SECONDS = 15.0
RETRY_SECONDS = (0.5, 2.0, 8.0, 30.0)
TOKEN_HEADER = "X-A2A-Notification-Token"  # noqa: S105 - the header's name
TRY_AGAIN = frozenset({408, 425, 429})
SERVER_ERROR = 500

logger = logging.getLogger(__name__)


class PushSender(PushNotificationSender):
    """One line of notifications for each webhook; what a webhook does not take is tried again, and then left."""

    def __init__(self, configs: PushConfigs, tasks: TaskStore) -> None:
        self._configs = configs
        self._tasks = tasks
        self._lines: dict[tuple[str, str], deque[dict[str, Any]]] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None

    async def send_notification(self, task_id: str, event: PushNotificationEvent) -> None:
        """Put an event in line for every webhook of its task; nobody waits for its delivery."""
        for webhook in self._configs.webhooks(task_id):
            is_chunk = isinstance(event, TaskArtifactUpdateEvent)
            if webhook.old and is_chunk:
                continue  # A2A 0.3 sends the whole task whenever its state changes.
            key = (task_id, webhook.config.id)
            line = self._lines.get(key)
            if line is not None and is_chunk and len(line) >= MAX_WAITING_NOTIFICATIONS:
                continue  # Whoever is this late reads the artifact with the task; no state is left out.
            body = await self._body(webhook, task_id, event)
            if line is not None:
                line.append(body)
                continue
            self._lines[key] = deque([body])
            work = asyncio.create_task(self._deliver(key, webhook), name=f"webhook:{task_id}")
            self._work.add(work)
            work.add_done_callback(self._work.discard)

    async def close(self, seconds: float) -> None:
        """Let what is in line go out, for so long, because the process ends."""
        if self._work:
            await asyncio.wait(list(self._work), timeout=seconds)
        for work in list(self._work):
            work.cancel()
        if self._client is not None:
            await self._client.aclose()

    async def _body(self, webhook: Webhook, task_id: str, event: PushNotificationEvent) -> dict[str, Any]:
        if webhook.old and (task := await self._tasks.get(task_id, ServerCallContext())) is not None:
            body: dict[str, Any] = to_compat_task(task).model_dump(
                mode="json", by_alias=True, exclude_none=True
            )
            return body
        event_body: dict[str, Any] = MessageToDict(to_stream_response(event))
        return event_body

    async def _deliver(self, key: tuple[str, str], webhook: Webhook) -> None:
        line = self._lines[key]
        try:
            while line:
                await self._send(webhook, line[0])
                line.popleft()
        finally:
            del self._lines[key]

    async def _send(self, webhook: Webhook, body: dict[str, Any]) -> None:
        """Send one notification, several times if need be."""
        task_id = webhook.config.task_id
        for pause in (*RETRY_SECONDS, None):
            try:
                status = await self._post(webhook, body)
            except AddressRefused as refused:
                logger.warning("Leaving out a notification of task %s: %s", task_id, refused)
                return
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                problem, passes = f"{type(error).__name__}: {error}", True
            else:
                if httpx.codes.is_success(status):
                    return
                problem, passes = (
                    f"its webhook answered {status}",
                    status in TRY_AGAIN or status >= SERVER_ERROR,
                )
            if pause is None or not passes:
                logger.warning("Leaving out a notification of task %s: %s", task_id, problem)
                return
            await asyncio.sleep(pause)

    async def _post(self, webhook: Webhook, body: dict[str, Any]) -> int:
        """Send one notification once; return the status of the answer, whose text nobody needs."""
        config = webhook.config
        url = httpx.URL(config.url)
        # The address that was checked is the one that is used: a name may stand for another one the next time.
        addresses = await addresses_of(config.url, webhook.reach)
        headers = {
            "Host": url.netloc.decode("ascii"),
            "Content-Type": "application/json" if webhook.old else A2A_JSON_MEDIA_TYPE,
        }
        if config.token:
            headers[TOKEN_HEADER] = config.token
        if config.authentication.scheme and config.authentication.credentials:
            headers["Authorization"] = f"{config.authentication.scheme} {config.authentication.credentials}"
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS)
        async with self._client.stream(
            "POST",
            url.copy_with(host=addresses[0]),
            json=body,
            headers=headers,
            extensions={"sni_hostname": url.host},
        ) as response:
            return response.status_code
