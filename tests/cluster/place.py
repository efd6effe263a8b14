"""Where one cluster keeps what it writes, and the names of what it makes on this machine."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from tests.parts.servers import free_port

GATEWAY = "10.250.64.1"
"""The node's address in its own network: of the API server, the registry, the index, the git server and cluster DNS."""
NODE = "node1"
PODS = "10.250.64.0/20"
SERVICES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"
"""The address of Service `kubernetes`."""
DOMAIN = "cluster.local"
_SERVERS = ("api", "registry", "index", "git")


@dataclass(frozen=True)
class Place:
    """The state folder of a cluster; one folder, one cluster."""

    root: Path

    @property
    def name(self) -> str:
        """What its network namespace, its control group and its CNI network are called."""
        return "wsr-" + hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def namespace(self) -> Path:
        """Its network namespace."""
        return Path("/run/netns") / self.name

    def folder(self, *names: str) -> Path:
        """A folder in it, made on demand."""
        folder = self.root.joinpath(*names)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def key_file(self, name: str) -> Path:
        """The private key of a certificate; `ca` is the authority."""
        return self.root / "pki" / f"{name}.key"

    def certificate_file(self, name: str) -> Path:
        """A certificate."""
        return self.root / "pki" / f"{name}.crt"

    def kubeconfig(self, name: str) -> Path:
        """How a client finds the API server from inside the cluster's network."""
        return self.root / "pki" / f"{name}.kubeconfig"

    @property
    def outside(self) -> Path:
        """The administrator's kubeconfig for processes of this machine."""
        return self.root / "kubeconfig"

    @property
    def socket(self) -> Path:
        """Where containerd listens."""
        return self.root / "containerd" / "c.sock"

    @property
    def programs(self) -> Path:
        """Links to the programs that the cluster is made of, kubectl among them."""
        return self.folder("bin")

    def program(self, name: str) -> str:
        """The path of one of them."""
        return str(self.programs / name)

    def log(self, daemon: str) -> Path:
        """What a daemon wrote."""
        return self.folder("log") / f"{daemon}.log"

    def process(self, daemon: str) -> Path:
        """Which process a daemon is."""
        return self.folder("run") / f"{daemon}.process"

    def ports(self) -> dict[str, int]:
        """A port for `api`, `registry`, `index` and `git`: the same on `GATEWAY` and on this machine's loopback.

        They are chosen once, so that names of images hold over a stop.
        """
        file = self.root / "ports.json"
        if not file.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({name: free_port() for name in _SERVERS}))
        return dict(json.loads(file.read_text()))

    def registries(self) -> tuple[str, str]:
        """The two names of the registry: for this machine and the node, and for everything in the cluster's network."""
        port = self.ports()["registry"]
        return f"127.0.0.1:{port}", f"{GATEWAY}:{port}"
