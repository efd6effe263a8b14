"""Decide where a caller may have this workspace send something: only where the caller could go itself.

A webhook is a request that somebody else words and this process makes, from inside its network. So a caller from the
internet may name public addresses only, one from a private network that network's, too, and one on this machine
loopback, too; nobody may name what serves credentials to whoever asks (link-local). A2A 1.0, section 13.2.
"""

import ipaddress
from collections.abc import Iterable
from enum import IntEnum

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_FORWARDED = frozenset({b"forwarded", b"x-forwarded-for"})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(IntEnum):
    """How far inside a network somebody is; who is further inside reaches what is further outside, too."""

    PUBLIC = 0
    PRIVATE = 1
    LOCAL = 2


def reach_of_caller(address: str | None, headers: Iterable[tuple[bytes, bytes]]) -> Reach:
    """Tell from where a request came; one that a proxy passed on may have come from anywhere."""
    if address is None or any(name.lower() in _FORWARDED for name, _ in headers):
        return Reach.PUBLIC
    try:
        needed = reach_needed(address)
    except ValueError:
        return Reach.PUBLIC
    return Reach.PRIVATE if needed is None else needed


def reach_needed(address: str) -> Reach | None:
    """Return what it takes to name this IP address; None where nobody may.

    Raises:
        ValueError: it is no IP address.
    """
    ip = _inner(ipaddress.ip_address(address.partition("%")[0]))
    if ip.is_loopback:
        return Reach.LOCAL
    if ip.is_unspecified or ip.is_multicast or ip.is_link_local or ip.is_reserved:
        return None
    return Reach.PUBLIC if ip.is_global else Reach.PRIVATE


def _inner(ip: Address) -> Address:
    """Judge an address that carries another one as that other one."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
