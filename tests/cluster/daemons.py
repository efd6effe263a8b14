"""The daemons of a cluster: their command lines, when each of them answers, and how one is started and ended."""

import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.control_groups import joined
from tests.cluster.network import entered, within
from tests.cluster.place import GATEWAY, NODE, SERVICES, Place
from tests.parts.ground import REPOSITORY, PartError
from tests.parts.index import pypiserver
from tests.parts.servers import Process, launch, status_of, wait_until

_ETCD = "http://127.0.0.1:2379"
_QUICK = ("--kube-api-qps=1000", "--kube-api-burst=2000")
"""The defaults make one node wait for its own controllers."""
_AT_ONCE = ("--concurrent-deployment-syncs=50", "--concurrent-replicaset-syncs=50")
_SECONDS = 60.0
SERVERS = ("etcd", "containerd", "registry", "index", "git", "forward")
"""What does not need the API server."""
AGENTS = ("controllers", "scheduler", "kubelet", "proxy", "dns")
"""What does."""


@dataclass(frozen=True)
class Daemon:
    """How one is started; `answers` asks from where it listens whether it is up (None: nobody asks)."""

    command: tuple[str, ...]
    answers: Callable[[], bool] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    inside: bool = True


def start(place: Place, name: str, *, usual_limits: bool = False) -> None:
    """Start a daemon; `wait` for it separately. With `usual_limits` a controller has those of Kubernetes.

    Raises:
        PartError: it runs already, or ends at once.
    """
    if process := Process.saved(place.process(name)):
        raise PartError(f"{name} of the cluster in {place.root} runs already, as process {process.pid}.")
    daemon = daemons(place)[name]
    network = within(place.namespace) if daemon.inside else ()
    raised = {*_QUICK, *_AT_ONCE} if usual_limits else set()
    command = [*joined(place), *network, *(part for part in daemon.command if part not in raised)]
    environment = {**daemon.environment, "NO_PROXY": "*", "no_proxy": "*"}
    launch(command, log=place.log(name), environment=environment).save(place.process(name))


def wait(place: Place, name: str) -> None:
    """Return when a started daemon answers.

    Raises:
        PartError: it ended or does not answer in time; the text carries the end of its log.
    """
    daemon = daemons(place)[name]
    process = Process.saved(place.process(name))
    if process is None:
        raise PartError(f"{name} of the cluster in {place.root} ended: {place.log(name).read_text()[-1500:]}")
    with entered(place.namespace) if daemon.inside else nullcontext():
        wait_until(
            daemon.answers or process.alive, what=name, process=process, log=place.log(name), seconds=_SECONDS
        )


def wait_for_port(address: str, process: Process, log: Path) -> None:
    """Return when something accepts connections at `host:port`; raises PartError when the process ends before."""
    host, _, port = address.rpartition(":")
    wait_until(lambda: _connects(host, int(port)), what=address, process=process, log=log, seconds=_SECONDS)


def end(place: Place, name: str) -> None:
    """End one daemon: TERM, then KILL; one that does not run is fine."""
    if process := Process.saved(place.process(name)):
        process.end(seconds=5)
    place.process(name).unlink(missing_ok=True)


def daemons(place: Place) -> dict[str, Daemon]:
    """All of them by name."""
    return {**_servers(place), **_control_plane(place), **_node(place)}


def _servers(place: Place) -> dict[str, Daemon]:
    ports, root = place.ports(), place.root
    etcd = (
        *(place.program("etcd"), "--data-dir", str(root / "etcd"), "--log-level", "warn"),
        *("--listen-client-urls", _ETCD, "--advertise-client-urls", _ETCD),
        *("--listen-peer-urls", "http://127.0.0.1:2380", "--quota-backend-bytes", "4294967296"),
        "--unsafe-no-fsync",  # a crash of the machine is the end of the cluster anyway
    )
    containerd = (place.program("containerd"), "-c", str(root / "containerd" / "config.toml"))
    registry = (place.program("docker-registry"), "serve", str(root / "registry.json"))
    index, _ = pypiserver(place.folder("index"), address=GATEWAY, port=ports["index"])
    git = (
        sys.executable,
        "-m",
        "tests.parts.git_server",
        str(place.folder("git")),
        GATEWAY,
        str(ports["git"]),
    )
    routes = [f"inward=127.0.0.1:{port}={GATEWAY}:{port}" for port in ports.values()]
    forward = (sys.executable, "-m", "tests.cluster.forward", str(place.namespace), *routes)
    ours = {"PYTHONPATH": str(REPOSITORY)}
    return {
        "etcd": Daemon(etcd, lambda: _connects("127.0.0.1", 2379)),
        "containerd": Daemon(containerd, lambda: _listens(place)),
        "registry": Daemon(registry, lambda: status_of(f"http://127.0.0.1:{ports['registry']}/v2/") == 200),
        "index": Daemon(tuple(index), lambda: status_of(f"http://{GATEWAY}:{ports['index']}/healthz") == 200),
        "git": Daemon(git, lambda: _connects(GATEWAY, ports["git"]), ours),
        "forward": Daemon(forward, lambda: _connects("127.0.0.1", ports["api"]), ours, inside=False),
    }


def _control_plane(place: Place) -> dict[str, Daemon]:
    port = place.ports()["api"]
    made = f"--cert-dir={place.root / 'pki' / 'made'}"
    apiserver = (
        *(place.program("kube-apiserver"), f"--etcd-servers={_ETCD}", made),
        *(f"--bind-address={GATEWAY}", f"--advertise-address={GATEWAY}", f"--secure-port={port}"),
        f"--tls-cert-file={place.certificate_file('apiserver')}",
        f"--tls-private-key-file={place.key_file('apiserver')}",
        f"--client-ca-file={place.certificate_file('ca')}",
        f"--kubelet-client-certificate={place.certificate_file('admin')}",
        f"--kubelet-client-key={place.key_file('admin')}",
        f"--kubelet-certificate-authority={place.certificate_file('ca')}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--audit-policy-file={place.root / 'audit-policy.json'}",
        f"--audit-log-path={place.log('audit')}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={place.key_file('accounts').with_suffix('.pub')}",
        f"--service-account-signing-key-file={place.key_file('accounts')}",
    )
    controllers = (
        *(place.program("kube-controller-manager"), *_as(place, "controllers"), *_QUICK, made),
        f"--service-account-private-key-file={place.key_file('accounts')}",
        f"--root-ca-file={place.certificate_file('ca')}",
        f"--cluster-signing-cert-file={place.certificate_file('ca')}",
        f"--cluster-signing-key-file={place.key_file('ca')}",
        *("--use-service-account-credentials", "--leader-elect=false", "--bind-address=127.0.0.1"),
        *_AT_ONCE,
    )
    scheduler = (
        *(place.program("kube-scheduler"), *_as(place, "scheduler"), *_QUICK, made),
        *("--leader-elect=false", "--bind-address=127.0.0.1"),
    )
    return {
        "apiserver": Daemon(apiserver, lambda: _connects(GATEWAY, port)),
        "controllers": Daemon(controllers),
        "scheduler": Daemon(scheduler),
    }


def _node(place: Place) -> dict[str, Daemon]:
    root = place.root
    kubelet = (
        *(place.program("kubelet"), f"--config={root / 'kubelet.json'}", f"--hostname-override={NODE}"),
        *(f"--kubeconfig={place.kubeconfig('kubelet')}", f"--node-ip={GATEWAY}"),
        *(f"--root-dir={root / 'kubelet' / 'data'}", f"--cert-dir={root / 'kubelet' / 'pki'}"),
    )
    links = {"KUBELET_CONTAINER_LOGS": str(root / "kubelet" / "links")}
    dns = (place.program("coredns"), "-conf", str(root / "Corefile"))
    return {
        "kubelet": Daemon(kubelet, None, links),
        "proxy": Daemon((place.program("kube-proxy"), f"--config={root / 'proxy.json'}")),
        "dns": Daemon(dns, lambda: status_of(f"http://{GATEWAY}:8181/ready") == 200),
    }


def _as(place: Place, client: str) -> tuple[str, ...]:
    file = place.kubeconfig(client)
    purposes = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return tuple(f"--{purpose}={file}" for purpose in purposes)


def _connects(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def _listens(place: Place) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(place.socket)) == 0
