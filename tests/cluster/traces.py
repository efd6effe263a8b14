"""What a cluster leaves on this machine when its processes are ended, and how it is removed; whoever ended them."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.cluster import control_groups, network
from tests.cluster.place import Place
from tests.parts.ground import PartError

_CNI_RESULTS = Path("/var/lib/cni/results")
_DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
_TASKS = "containerd/state/io.containerd.runtime.v2.task/k8s.io"
# Of one run; what else is there makes the next start find the pods and their data again.
_OF_ONE_RUN = ("run", "runc", "containerd/state", "containerd/c.sock", "cni/addresses", "kubelet/links")


def remove_traces(place: Place) -> None:
    """End every process of the cluster and remove what is outside its folder, and inside what is of one run.

    Raises:
        PartError: something cannot be removed.
    """
    control_groups.end_all(place)
    # The sockets of containerd's shims, which it puts where it wants.
    for address in (place.root / _TASKS).glob("*/address"):
        Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)
    _unmount(place)
    network.delete(place)
    control_groups.remove(place)
    for result in _CNI_RESULTS.glob("*"):
        with suppress(FileNotFoundError):
            if f"{place.root}/" in result.read_text():
                result.unlink()
    # The kubelet empties this folder whenever it starts, and nothing here has devices to offer.
    for name in ("kubelet.sock", "kubelet_internal_checkpoint"):
        (_DEVICE_PLUGINS / name).unlink(missing_ok=True)
    for name in _OF_ONE_RUN:
        _remove(place.root / name)


def remove_all(place: Place) -> None:
    """Remove the folder of a stopped cluster, too."""
    remove_traces(place)
    _remove(place.root)


def mounts(place: Place) -> list[str]:
    """What is mounted in the folder, in the order in which it was."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [where for where in (line.split()[1] for line in lines) if where.startswith(f"{place.root}/")]


def _unmount(place: Place) -> None:
    for where in reversed(mounts(place)):
        done = subprocess.run(["umount", "--lazy", where], capture_output=True, text=True, check=False)
        if done.returncode:
            raise PartError(f"{where} cannot be unmounted: {done.stderr.strip()}")
    if left := mounts(place):  # removing the folder would reach into them
        raise PartError(f"still mounted in the folder of the cluster: {', '.join(left)}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
