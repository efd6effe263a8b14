"""The network namespace of a cluster: nothing in it reaches this machine or beyond, and all of it goes with it."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.place import GATEWAY, PODS, SERVICES, Place
from tests.parts.ground import PartError, need

_CLONE_NEWNET = 0x40000000
BRIDGE = "cni0"
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
"""Without it, answers from a pod behind the same bridge do not come from the Service that was asked."""


def within(namespace: Path) -> tuple[str, ...]:
    """What goes before a command line that is to run in there.

    NOTE: not `ip netns exec`, which mounts another /sys, without the control groups.
    """
    return ("nsenter", f"--net={namespace}", "--")


@contextmanager
def entered(namespace: Path) -> Iterator[None]:
    """Sockets that this thread makes in this block belong in there, and go on doing so after it."""
    with Path("/proc/thread-self/ns/net").open() as here, namespace.open() as there:
        _move(there.fileno())
        try:
            yield
        finally:
            _move(here.fileno())


def _move(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise PartError(f"Entering the network of the cluster failed: {os.strerror(number)}. It needs root.")


def create(place: Place) -> None:
    """Make the namespace, and in it the bridge that is the node's interface.

    Raises:
        PartError: the kernel or the tools refuse it.
    """
    address = f"{GATEWAY}/{PODS.partition('/')[2]}"
    _run(need("ip", package="iproute2"), "netns", "add", place.name)
    for words in (
        "ip link set lo up",
        # Before the CNI plugin would: the node's own address is on it, whether there are pods or not.
        f"ip link add {BRIDGE} type bridge",
        f"ip addr add {address} dev {BRIDGE}",
        f"ip link set {BRIDGE} up",
        # There is no other way out; without a route, nobody could even ask for a Service's address.
        f"ip route add {SERVICES} dev {BRIDGE} src {GATEWAY}",
    ):
        _run(*within(place.namespace), *words.split())
    if not _BRIDGE_FILTER.exists():
        _run("modprobe", "br_netfilter")
    with entered(place.namespace):
        for setting in (_FORWARD, _BRIDGE_FILTER):
            setting.write_text("1")


def delete(place: Place) -> None:
    """Remove the namespace with everything in it; an absent one is fine."""
    if place.namespace.exists():
        _run("ip", "netns", "delete", place.name)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PartError(f"The cluster's network: `{' '.join(command)}` failed: {done.stderr.strip()}")
