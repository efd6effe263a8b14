"""Reads the engine's answers: the list of containers, multiplexed output, image references."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from controller.model.container import ContainerState, ContainerSummary, PublishedPort

_FRAME_HEADER: Final = struct.Struct(">BxxxL")
"""Stream number and length of one frame of output (engine API, `ContainerAttach`)."""
_STDERR: Final = 2


def parse_summary(row: Mapping[str, Any]) -> ContainerSummary:
    """Return one row of `GET /containers/json`.

    A container has one name of its own; `/consumer/alias` among its names is a legacy link from `consumer`. An engine
    lists names, ports, networks and mounts in another order each time: here they are sorted, so that equal rows are equal.
    """
    names = sorted(name.removeprefix("/") for name in row.get("Names") or ())
    own = [name for name in names if "/" not in name]
    networks = (row.get("NetworkSettings") or {}).get("Networks") or {}
    mode = (row.get("HostConfig") or {}).get("NetworkMode") or ""
    return ContainerSummary(
        id=row["Id"],
        name=own[0] if own else row["Id"][:12],
        image=row["Image"],
        image_id=row["ImageID"],
        state=ContainerState(row["State"]),
        labels=row.get("Labels") or {},
        ports=tuple(sorted(map(_port, row.get("Ports") or ()), key=repr)),
        addresses={
            name: endpoint["IPAddress"]
            for name, endpoint in sorted(networks.items())
            if endpoint.get("IPAddress")
        },
        mounts=tuple(
            sorted(mount.get("Name") or mount.get("Source") or "" for mount in row.get("Mounts") or ())
        ),
        link_consumers=tuple(name.partition("/")[0] for name in names if "/" in name),
        network_of=mode.partition(":")[2] if mode.startswith("container:") else None,
    )


def _port(port: Mapping[str, Any]) -> PublishedPort:
    return PublishedPort(port["PrivatePort"], port["Type"], port.get("IP"), port.get("PublicPort"))


def demultiplex(frames: bytes) -> tuple[bytes, bytes]:
    """Return standard output and standard error of a command that ran without a terminal."""
    streams = {True: bytearray(), False: bytearray()}
    at = 0
    while at + _FRAME_HEADER.size <= len(frames):
        number, length = _FRAME_HEADER.unpack_from(frames, at)
        at += _FRAME_HEADER.size
        streams[number == _STDERR] += frames[at : at + length]
        at += length
    return bytes(streams[False]), bytes(streams[True])


def split_reference(reference: str) -> tuple[str, str]:
    """Return repository and tag, or repository and digest, of an image reference; a digest goes before a tag."""
    name, _, digest = reference.partition("@")
    head, colon, tag = name.rpartition(":")
    repository, tag = (head, tag) if colon and "/" not in tag else (name, "latest")
    return repository, digest or tag
