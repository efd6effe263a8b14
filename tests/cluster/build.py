"""The programs of a cluster, from the pinned modules in `modules/`; python -m tests.cluster.build builds them ahead of time."""

import re
import sys
import time
from pathlib import Path

from tests.cluster.place import Place
from tests.parts.go_program import go_program, module_folder
from tests.parts.ground import need

_MODULES = Path(__file__).with_name("modules")
KUBERNETES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
"""What program `kubebox` is, when it is started under that name."""


def kubebox() -> Path:
    """All of Kubernetes, and etcd, in one program.

    Without a version from outside, every component would say `v0.0.0-master`, and who parses that is confused.
    """
    (version,) = re.findall(
        r"^\s*k8s\.io/kubernetes (v[\d.]+)$", (_MODULES / "kubebox" / "go.mod").read_text(), re.MULTILINE
    )
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    variables = {f"k8s.io/component-base/version.{name}": value for name, value in values.items()}
    return go_program(_MODULES / "kubebox", values=variables)


def coredns() -> Path:
    """The DNS server of the cluster."""
    return go_program(_MODULES / "coredns")


def pause() -> Path:
    """The process of a pod's own container."""
    return go_program(_MODULES / "pause")


def helm() -> Path:
    """The command that users install charts with; built when it is first wanted."""
    return go_program(_MODULES / "helm", package="helm.sh/helm/v4/cmd/helm")


def kwok() -> Path:
    """What plays kubelet for any number of nodes that are not there; built when it is first wanted."""
    return go_program(_MODULES / "kwok", package="sigs.k8s.io/kwok/cmd/kwok")


def kwok_stages() -> str:
    """What kwok does with nodes and pods, without which it does nothing: all is well at once.

    Its own stages leave out which image a container runs, without which nothing is proven.
    """
    stages = module_folder(_MODULES / "kwok", "sigs.k8s.io/kwok") / "kustomize" / "stage"
    files = [
        stages / "node" / "fast" / "node-initialize.yaml",
        *sorted((stages / "node" / "heartbeat-with-lease").glob("node-*.yaml")),
        *sorted((stages / "pod" / "fast").glob("pod-*.yaml")),
    ]
    image = "- image: {{ .image | Quote }}\n"
    text = "\n---\n".join(file.read_text() for file in files)
    return text.replace(image, f"{image}        imageID: {{{{ .image | Quote }}}}\n")


def link_programs(place: Place) -> None:
    """Put what the node is made of under `place.programs`, built or installed as needed.

    Raises:
        PartError: something could not be had.
    """
    found = dict.fromkeys(KUBERNETES, kubebox()) | {"coredns": coredns()}
    for command, package in (
        ("containerd", "containerd"),
        ("ctr", "containerd"),
        ("docker-registry", "docker-registry"),
        ("nft", "nftables"),  # kube-proxy looks for it, and then speaks netlink
    ):
        found[command] = Path(need(command, package=package))
    need("/usr/lib/cni/bridge", package="containernetworking-plugins")
    for name, program in found.items():
        link(place, name, program)


def link(place: Place, name: str, program: Path) -> None:
    """Put one program there, in place of what was there."""
    link = place.programs / name
    link.unlink(missing_ok=True)
    link.symlink_to(program)


if __name__ == "__main__":
    more = (helm, kwok) if "--all" in sys.argv else (helm,) if "--helm" in sys.argv else ()
    for build in (kubebox, coredns, pause, *more):
        began = time.monotonic()
        program = build()
        sys.stdout.write(f"{time.monotonic() - began:6.1f}s  {program}\n")
        sys.stdout.flush()
