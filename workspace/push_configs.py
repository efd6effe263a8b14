"""Keep the webhooks of tasks: where callers who are not connected want to be told what becomes of a task."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from a2a.server.context import ServerCallContext
from a2a.server.tasks import InMemoryPushNotificationConfigStore
from a2a.types import TaskPushNotificationConfig
from a2a.utils.errors import InvalidParamsError
from google.protobuf.json_format import MessageToDict, ParseDict

from admission import CALLER_REACH
from policies.addresses import Reach, reach_needed
from policies.limits import MAX_WEBHOOKS_PER_TASK

Record = Callable[[str, object], None]


class AddressRefused(Exception):  # noqa: N818 - a decision, which whoever asked tells the caller in their own words
    """A webhook leads where its caller may not send anything."""


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """One webhook of one task.

    Attributes:
        reach: how far inside the network whoever named it is.
        old: whether it was named over A2A 0.3, whose notifications have another form.
    """

    config: TaskPushNotificationConfig
    reach: Reach
    old: bool


class PushConfigs(InMemoryPushNotificationConfigStore):
    """The SDK's store, which checks where webhooks lead, is bounded, and can be saved and restored."""

    def __init__(self, record: Record) -> None:
        """`record` writes down what must survive a kill of this process."""
        super().__init__()
        self._record = record
        self._webhooks: dict[str, dict[str, Webhook]] = {}

    def webhooks(self, task_id: str) -> list[Webhook]:
        """Return the webhooks of a task."""
        return list(self._webhooks.get(task_id, {}).values())

    async def set_info(
        self, task_id: str, notification_config: TaskPushNotificationConfig, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        """Keep a webhook.

        Raises:
            InvalidParamsError: it leads where its caller may not send anything, or the task has too many.
        """
        reach = CALLER_REACH.get()
        try:
            await addresses_of(notification_config.url, reach)
        except AddressRefused as refused:
            raise InvalidParamsError(message=str(refused)) from refused
        except OSError:
            pass  # A name that cannot be resolved now may be later; nothing is sent before it is.
        known = self._webhooks.get(task_id, {})
        if len(known) >= MAX_WEBHOOKS_PER_TASK and (notification_config.id or task_id) not in known:
            text = f"Task {task_id} has {MAX_WEBHOOKS_PER_TASK} webhooks already; delete one first"
            raise InvalidParamsError(message=text)
        stored = await super().set_info(task_id, notification_config, context)
        method = str(context.state.get("method", ""))
        webhook = Webhook(config=stored, reach=reach, old="/" in method)
        self._webhooks.setdefault(task_id, {})[stored.id] = webhook
        self._record("webhook", _saved(webhook))
        return stored

    async def delete_info(
        self, task_id: str, context: ServerCallContext, config_id: str | None = None
    ) -> None:
        """Forget one webhook of a task, or all of them; what is not there is forgotten already."""
        known = self._webhooks.get(task_id, {})
        ids = list(known) if config_id is None else [config_id]
        for forgotten in ids:
            if known.pop(forgotten, None) is not None:
                await super().delete_info(task_id, context, forgotten)
                self._record("no-webhook", {"taskId": task_id, "id": forgotten})
        if not known:
            self._webhooks.pop(task_id, None)

    def export(self) -> list[dict[str, Any]]:
        """Return all webhooks as JSON values."""
        return [
            _saved(webhook) for known in list(self._webhooks.values()) for webhook in list(known.values())
        ]

    async def restore(self, saved: list[dict[str, Any]]) -> None:
        """Take over what `export` returned.

        Raises:
            KeyError, ValueError, google.protobuf.json_format.ParseError: it has another form.
        """
        for item in saved:
            config = ParseDict(item["config"], TaskPushNotificationConfig(), ignore_unknown_fields=True)
            webhook = Webhook(config=config, reach=Reach(item["reach"]), old=bool(item["old"]))
            await super().set_info(config.task_id, config, ServerCallContext())
            self._webhooks.setdefault(config.task_id, {})[config.id] = webhook


async def addresses_of(url: str, reach: Reach) -> list[str]:
    """Look up where a webhook leads.

    Raises:
        AddressRefused: to no HTTP server, or to one that a caller of this reach may not name.
        OSError: its name cannot be resolved.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise AddressRefused(f"The webhook is no URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise AddressRefused("The webhook is no http or https URL; write it as https://host/path")
    loop = asyncio.get_running_loop()
    # By number: slim images have no list of services by name.
    port = port or (443 if parts.scheme == "https" else 80)
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        needed = reach_needed(address)
        if needed is None or needed > reach:
            raise AddressRefused(
                f"The webhook's host {host} leads to {address}, which this caller may not have notified; "
                "name one that the caller itself reaches"
            )
    return addresses


def _saved(webhook: Webhook) -> dict[str, Any]:
    return {"config": MessageToDict(webhook.config), "reach": int(webhook.reach), "old": webhook.old}
