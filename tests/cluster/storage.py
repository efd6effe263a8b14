"""Volumes for claims of the default storage class: folders of the node, made ahead, since nothing provisions them."""

import secrets

from tests.cluster.api import Api
from tests.cluster.place import Place

STORAGE_CLASS = "standard"
_AHEAD = 20


def provide_storage(api: Api, place: Place) -> None:
    """Make the default storage class and its volumes, unless they are there."""
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    api.make("/apis/storage.k8s.io/v1/storageclasses", storage_class)
    _, volumes = api.ask("/api/v1/persistentvolumes")
    add_volumes(api, place, _AHEAD - len(volumes.get("items", [])))


def add_volumes(api: Api, place: Place, count: int) -> None:
    """Make this many more volumes."""
    for _ in range(count):
        name = f"volume-{secrets.token_hex(3)}"
        folder = place.folder("volumes", name)
        folder.chmod(0o777)  # who a pod runs as is not known
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "storageClassName": STORAGE_CLASS,
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": str(folder), "type": "Directory"},
            },
        }
        api.make("/api/v1/persistentvolumes", volume)
