"""python -m controller.clients.notify: delivers one notice, told on stdin, and reaches no address that it must not.

It is a process of its own so that its look-ups of names can be replaced: whatever Apprise and the servers that it asks lead
to, a redirection or a name that means another address by now included, is looked up here.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import sys
from collections.abc import Collection
from typing import Any, Final

SCHEMES: Final = frozenset(
    {"discord", "jsons", "ntfys", "opsgenie", "pagerduty", "pover", "slack", "tgram", "wxteams"}
)
"""What an address may begin with: services with addresses of their own, and https to any server (jsons, ntfys)."""

_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052."""


def guarded(hosts: Collection[str], look_up: Any = socket.getaddrinfo) -> Any:  # noqa: ANN401 -- as the library has it
    """Return a look-up of names that finds addresses of the internet only, but for `hosts`, which may be anywhere."""

    def found(host: str | bytes | None, *arguments: Any, **options: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 -- as the library has it
        name = host.decode() if isinstance(host, bytes) else host
        answers = look_up(host, *arguments, **options)
        if name in hosts:
            return list(answers)
        public = [answer for answer in answers if _is_public(str(answer[4][0]))]
        if not public:
            raise socket.gaierror(socket.EAI_NONAME, f"{name} is at no address of the internet")
        return public

    return found


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return parsed.is_global and not parsed.is_multicast and not _leads_elsewhere(parsed)


def _leads_elsewhere(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address of the newer kind stands for one of the older, which may be any."""
    if isinstance(address, ipaddress.IPv4Address):
        return False
    return any((address.ipv4_mapped, address.sixtofour, address.teredo)) or address in _TRANSLATED


def main() -> int:
    """Deliver it; 0 when it was taken, else 1 with the cause on stdout."""
    order = json.load(sys.stdin)
    refused: list[str] = []
    if order["hosts"] is not None:
        look_up = guarded(frozenset(order["hosts"]))

        def told(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- as the library has it
            try:
                return look_up(*arguments, **options)
            except socket.gaierror as error:
                refused.append(str(error.args[-1]))
                raise

        socket.getaddrinfo = told
    import apprise  # noqa: PLC0415 -- it takes a second, and looks up nothing before

    asset = apprise.AppriseAsset(secure_logging=True, storage_mode=apprise.PersistentStoreMode.MEMORY)
    service = apprise.Apprise.instantiate(order["url"], asset=asset)
    if service is None:
        sys.stdout.write("Apprise cannot read its address")
        return 1
    notifier = apprise.Apprise(service, asset=asset)
    if notifier.notify(title=order["title"], body=order["text"]):
        return 0
    sys.stdout.write(refused[0] if refused else "its service did not take it")
    return 1


if __name__ == "__main__":
    sys.exit(main())
