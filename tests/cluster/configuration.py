"""The files that the daemons of a cluster read. JSON where YAML is asked for: it is YAML."""

import json

from tests.cluster.certificates import CONTEXT
from tests.cluster.network import BRIDGE
from tests.cluster.place import DOMAIN, GATEWAY, NODE, PODS, Place

PAUSE_IMAGE = "cluster/pause:1"
"""The image of a pod's own container, in the cluster's registry."""
_CONTAINERD = """\
version = 2
root = "{root}/containerd/root"
state = "{root}/containerd/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true # a node in a container may not lower it
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{root}/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{root}/registries"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "{root}/runc"
"""
_COREFILE = """\
.:53 {{
  bind {address}
  ready {address}:8181
  errors
  cache 1
  kubernetes {domain} in-addr.arpa {{
    kubeconfig {kubeconfig} {context}
    pods insecure
    ttl 1
  }}
}}
"""


def write_configuration(place: Place) -> None:
    """Write all of them anew, each to where `daemons` looks for it."""
    here, _ = place.registries()
    place.folder("containerd")
    texts = {
        "containerd/config.toml": _CONTAINERD.format(
            root=place.root, socket=place.socket, pause=f"{here}/{PAUSE_IMAGE}"
        ),
        "cni/10-bridge.conflist": json.dumps(_cni(place)),
        "registry.json": json.dumps(_registry(place)),
        "kubelet.json": json.dumps(_kubelet(place)),
        "proxy.json": json.dumps(_proxy(place)),
        "audit-policy.json": json.dumps(_audit_policy()),
        "Corefile": _COREFILE.format(
            address=GATEWAY, domain=DOMAIN, kubeconfig=place.kubeconfig("admin"), context=CONTEXT
        ),
        "resolv.conf": f"nameserver {GATEWAY}\n",
    }
    for registry in place.registries():
        # NOTE: containerd 1.6 takes the scheme of a host from its own section alone, but for loopback.
        texts[f"registries/{registry}/hosts.toml"] = (
            f'server = "http://{registry}"\n[host."http://{registry}"]\ncapabilities = ["pull", "resolve"]\n'
        )
    for name, text in texts.items():
        place.folder(*name.split("/")[:-1])
        (place.root / name).write_text(text)


def _audit_policy() -> object:
    """What the accounts of pods ask for is noted, but for those of the cluster's own controllers."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
            {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
            {"level": "None"},
        ],
    }


def _cni(place: Place) -> object:
    """No masquerading and no packet filter: all that it makes goes with the network namespace."""
    addresses = {
        "type": "host-local",
        "dataDir": str(place.root / "cni" / "addresses"),
        "ranges": [[{"subnet": PODS, "gateway": GATEWAY}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": addresses,
    }
    return {"cniVersion": "0.4.0", "name": place.name, "plugins": [bridge]}


def _registry(place: Place) -> object:
    return {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": str(place.root / "registry")},
            "delete": {"enabled": True},
        },
        # On all addresses: the node pulls by the same name, on loopback, that this machine pushes by.
        "http": {"addr": f":{place.ports()['registry']}", "secret": "shared by nobody"},
    }


def _kubelet(place: Place) -> object:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": GATEWAY,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(place.certificate_file("ca"))},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(place.certificate_file("kubelet-server")),
        "tlsPrivateKeyFile": str(place.key_file("kubelet-server")),
        "containerRuntimeEndpoint": f"unix://{place.socket}",
        "cgroupDriver": "cgroupfs",  # containerd 1.6 cannot tell it
        "cgroupRoot": f"/{place.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [GATEWAY],
        "clusterDomain": DOMAIN,
        "resolvConf": str(place.root / "resolv.conf"),
        "podLogsDir": str(place.root / "kubelet" / "logs"),
        "volumePluginDir": str(place.root / "kubelet" / "plugins"),
        "makeIPTablesUtilChains": False,
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 250,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "serializeImagePulls": False,
    }


def _proxy(place: Place) -> object:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(place.kubeconfig("proxy"))},
        "hostnameOverride": NODE,
        "bindAddress": GATEWAY,
        "clusterCIDR": PODS,
        # What these would set belongs to the whole machine.
        "conntrack": {"maxPerCore": 0, "tcpCloseWaitTimeout": "0s", "tcpEstablishedTimeout": "0s"},
        "nodePortAddresses": [f"{GATEWAY}/32"],
        "nftables": {"minSyncPeriod": "100ms"},
    }
