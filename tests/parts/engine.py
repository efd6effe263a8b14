"""A Docker Engine: the one that answers, else Debian's, started by us with a data folder of its own and ended by us."""

import fcntl
import hashlib
import os
import re
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException

from tests.parts.ground import PartError, cache_dir, need
from tests.parts.servers import Process, launch, wait_until
from tests.parts.shared import shared

USUAL_ENDPOINT = "unix:///var/run/docker.sock"
_CONTAINERD = Path("exec/containerd")
_STOP_SECONDS = 60.0
_SIOCGIFADDR = 0x8915  # netdevice(7): the address of an interface


@dataclass(frozen=True)
class OwnEngine:
    """The places of the engine that we start: `data` outlives runs, `run` does not outlive a boot.

    `within` is put before its command line: a second engine on one machine needs a network namespace of its own, or it
    takes the first one's bridge and packet filter (with `--bridge=none` it even deletes that bridge); or `options` that
    give it a bridge of its own and let it keep off the packet filter.
    """

    data: Path
    run: Path
    within: Sequence[str] = ()
    options: Sequence[str] = ()

    @classmethod
    def usual(cls) -> "OwnEngine":
        """The one engine of this user: data in the cache, sockets under /run, whose paths are short enough for them."""
        data = cache_dir("engine")
        return cls(data, Path("/run/workspace-runtime") / hashlib.sha256(str(data).encode()).hexdigest()[:8])

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"unix://{self.run / 'docker.sock'}"

    @property
    def log(self) -> Path:
        """What it writes."""
        return self.data / "dockerd.log"

    @property
    def started(self) -> Path:
        """Which process it is."""
        return self.data / "dockerd.process"


def answers(endpoint: str) -> bool:
    """Whether a Docker Engine answers there."""
    try:
        client = docker.DockerClient(base_url=endpoint, timeout=5)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


@contextmanager
def running_engine(*, keep: bool = False) -> Iterator[str]:
    """The endpoint of a Docker Engine that answers: `DOCKER_HOST`, the usual socket, else one started here.

    Args:
        keep: leave an engine of ours up at the end; the next `running_engine` ends it.

    Raises:
        PartError: `DOCKER_HOST` names one that does not answer, or ours does not come up.
    """
    named = os.environ.get("DOCKER_HOST")
    if named and not answers(named):
        raise PartError(f"No Docker Engine answers at DOCKER_HOST={named}. Start it, or unset DOCKER_HOST.")
    for endpoint in filter(None, (named, USUAL_ENDPOINT)):
        if answers(endpoint):
            yield endpoint
            return
    with own_engine(OwnEngine.usual(), keep=keep) as endpoint:
        yield endpoint


@contextmanager
def own_engine(own: OwnEngine, *, keep: bool = False) -> Iterator[str]:
    """Debian's engine in places of its own, shared by all runs that use the same places.

    Raises:
        PartError: not root, or it does not come up; the text carries the end of its log.
    """
    if os.geteuid() != 0:
        raise PartError(
            "No Docker Engine answers and starting one needs root. Start Docker, set DOCKER_HOST, or run this as root."
        )
    own.data.mkdir(parents=True, exist_ok=True)
    own.run.mkdir(parents=True, exist_ok=True)
    with shared(
        own.data,
        answers=lambda: answers(own.endpoint),
        start=lambda: _start(own),
        end=lambda: _end(own),
        keep=keep,
    ):
        yield own.endpoint


def stop_engine(own: OwnEngine, number: signal.Signals) -> None:
    """Send the engine's process a signal and return when it and its containerd are gone; containers may go on.

    Raises:
        PartError: it does not run, or does not end.
    """
    process = Process.saved(own.started)
    if process is None:
        raise PartError(f"The engine at {own.endpoint} does not run.")
    os.kill(process.pid, number)
    deadline = time.monotonic() + _STOP_SECONDS
    while process.alive():
        if time.monotonic() > deadline:
            raise PartError(
                f"The engine at {own.endpoint} did not end {_STOP_SECONDS:g} s after {number.name}."
            )
        time.sleep(0.02)
    containerd = _containerd(own)
    if containerd is not None:  # dying with the engine; the next engine must not take it for its own
        containerd.end()


def start_engine(own: OwnEngine) -> None:
    """Start the engine in its places again, over whatever it left there, as its service manager would.

    Raises:
        PartError: it does not come up.
    """
    _forget_processes(own)
    _launch(own)


def _start(own: OwnEngine) -> None:
    _end(own)
    own.log.unlink(missing_ok=True)
    _launch(own)


def _launch(own: OwnEngine) -> None:
    command = [
        *own.within,
        need("dockerd", package="docker.io"),
        f"--host={own.endpoint}",
        f"--data-root={own.data / 'data'}",
        f"--exec-root={own.run / 'exec'}",
        f"--pidfile={own.run / 'docker.pid'}",
        *own.options,
    ]
    process = launch(command, log=own.log)
    process.save(own.started)
    wait_until(lambda: answers(own.endpoint), what="dockerd", process=process, log=own.log, seconds=60)


def _end(own: OwnEngine) -> None:
    """End the engine and its containerd, and remove what a killed one leaves behind."""
    for process in (Process.saved(own.started), _containerd(own)):
        if process is not None:
            process.end(seconds=30)
    for process in _survivors(own):
        process.end(seconds=1)
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for folder in reversed([mount for mount in mounts if mount.startswith((f"{own.data}/", f"{own.run}/"))]):
        subprocess.run(["umount", folder], check=True)
    _forget_processes(own)


def _forget_processes(own: OwnEngine) -> None:
    """Remove what the next engine trusts although the numbers may belong to others, or to the dead, by now."""
    for file in (own.started, own.run / "docker.pid", own.run / _CONTAINERD / "containerd.pid"):
        file.unlink(missing_ok=True)


def _survivors(own: OwnEngine) -> Iterator[Process]:
    """The containers, each before its shim, that go on without a killed engine."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments = (entry / "cmdline").read_text()
            if "containerd-shim" in arguments and f"{own.run}/" in arguments:
                children = (entry / "task" / entry.name / "children").read_text().split()
                yield from filter(None, map(Process.of, (*map(int, children), int(entry.name))))


def _containerd(own: OwnEngine) -> Process | None:
    folder = own.run / _CONTAINERD
    try:
        pid = int((folder / "containerd.pid").read_text())
        arguments = Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return Process.of(pid) if str(folder) in arguments else None


def gateway(endpoint: str) -> str:
    """The address of this machine as containers of the engine see it.

    A server that listens there is reached by the same URL from here and from inside every container, and from nowhere
    else. The engine tells its bridge's gateway only when it was configured (20.10), hence the look at the interface.

    Raises:
        PartError: the engine has no default bridge on this machine.
    """
    client = docker.DockerClient(base_url=endpoint)
    try:
        bridge = client.networks.get("bridge").attrs
    except DockerException as error:
        raise PartError(f"The engine at {endpoint} has no default bridge network: {error}") from error
    finally:
        client.close()
    for config in bridge["IPAM"]["Config"] or []:
        if re.fullmatch(r"[\d.]+", config.get("Gateway", "")):
            return str(config["Gateway"])
    interface = bridge["Options"].get("com.docker.network.bridge.name", "docker0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        try:
            answer = fcntl.ioctl(query, _SIOCGIFADDR, struct.pack("256s", interface.encode()))
        except OSError as error:
            raise PartError(
                f"Interface {interface} of the engine at {endpoint} is not on this machine: {error}"
            ) from error
    return socket.inet_ntoa(answer[20:24])
