"""The configuration of a container's successor: all that its creator set, nothing that its old image gave it. Pure.

An inspection shows both merged. What the old image gave is subtracted, field by field as the engine merges them
(moby `daemon/config.go`, `merge`), and what the create-specification label names is kept even where it equals the
old image's default. Everything about the host (`HostConfig`) goes over whole.
"""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.api.names import LABEL_CREATE_SPEC, LABEL_REPLACES
from controller.model.container import ContainerState
from controller.model.create_spec import NEVER, CreateRecord, RestartPolicy, Succeeds, UserSet
from controller.model.replacement import WantedImage

Json = Mapping[str, Any]
Endpoints = dict[str, Json]

_SHORT_ID: Final = 12
_SCALARS: Final = ("WorkingDir", "User", "StopSignal", "Shell")
_HEALTH_PARTS: Final = ("Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
_ENDPOINT_PARTS: Final = ("Aliases", "IPAMConfig", "Links", "DriverOpts", "GwPriority")
_OWN_LABELS: Final = (LABEL_REPLACES, LABEL_CREATE_SPEC)
_DEFAULT_NETWORK: Final = "bridge"


@dataclass(frozen=True, slots=True)
class CreateSpec:
    """How to make the successor.

    `body` is the JSON of the engine's create call, with at most one network (more need API 1.44). `connections` are
    the endpoints to connect before the first start. `disconnect` is the network that the engine connects by itself
    although the old container had left it.
    """

    body: Json
    connections: Mapping[str, Json]
    disconnect: str | None = None


def next_spec(old: Json, old_image: Json | None, wanted: WantedImage) -> CreateSpec:
    """Return how to create the successor of container `old`.

    Args:
        old: the engine's inspection of the container, whatever its state.
        old_image: the configuration (`Config`) of the image it was created from; None when that image is gone,
            which only a container with a create-specification label survives without loss (`unsafe_shape`).
        wanted: the image of the successor.
    """
    record = (
        CreateRecord.from_label(old["Config"]["Labels"].get(LABEL_CREATE_SPEC))
        if old["Config"]["Labels"]
        else None
    )
    config, user_set = _user_config(old, old_image or {}, record.user_set if record else UserSet())
    policy = RestartPolicy.of(old["HostConfig"]["RestartPolicy"])
    succeeds = Succeeds(
        ContainerState(old["State"]["Status"]), wanted.image_id, wanted.version, wanted.content_sha256
    )
    config["Image"] = wanted.reference
    config["Labels"][LABEL_REPLACES] = old["Id"]
    config["Labels"][LABEL_CREATE_SPEC] = CreateRecord(wanted.template, policy, user_set, succeeds).to_label()
    first, connections, disconnect = _networks(old)
    body = config | {"HostConfig": _host_config(old)}
    if first:
        body["NetworkingConfig"] = {"EndpointsConfig": first}
    return CreateSpec(body, connections, disconnect)


def unfinished_networks(old: Json, new: Json) -> tuple[Mapping[str, Json], str | None]:
    """Return the endpoints that successor `new` still lacks and the network it must still leave.

    Networks are connected one by one, so a successor whose maker died may be incomplete.
    """
    first, connections, disconnect = _networks(old)
    present = new["NetworkSettings"].get("Networks") or {}
    missing = {name: endpoint for name, endpoint in (first | connections).items() if name not in present}
    return missing, disconnect if disconnect in present else None


def unsafe_shape(
    old: Json,
    *,
    old_image_known: bool,
    link_consumers: Iterable[str] = (),
    network_sharers: Iterable[str] = (),
) -> str | None:
    """Return why replacing this container would lose something, with the name of what stands in the way, else None."""
    linked, sharing = sorted(link_consumers), sorted(network_sharers)
    if old["HostConfig"].get("AutoRemove"):
        return "It was started with --rm: it vanishes when it stops, so nothing could be restored. Create it without --rm."
    if old["State"]["Status"] in {ContainerState.DEAD, ContainerState.REMOVING}:
        return f"The engine reports it as {old['State']['Status']}: remove it and create it again."
    if linked:
        return f"Container {linked[0]} has a legacy link to it, which would keep pointing at the old one. Use a network instead of --link."
    if sharing:
        return f"Container {sharing[0]} shares its network, which ends when it stops. Give {sharing[0]} a network of its own."
    labels = old["Config"].get("Labels") or {}
    if not old_image_known and CreateRecord.from_label(labels.get(LABEL_CREATE_SPEC)) is None:
        return (
            f"Its image {old['Image']} is gone from the engine, so what its creator set cannot be told from what "
            "the image gave it. Pull that image again, or create the container anew."
        )
    return None


# what the creator set, and what the image gave


def _user_config(old: Json, image: Json, recorded: UserSet) -> tuple[dict[str, Any], UserSet]:
    config = copy.deepcopy(dict(old["Config"]))
    fields: set[str] = set()
    config["Env"] = [
        line
        for line in config.get("Env") or ()
        if _key(line) in recorded.env or line not in (image.get("Env") or ())
    ]
    config["Labels"] = {
        key: value
        for key, value in (config.get("Labels") or {}).items()
        if key not in _OWN_LABELS
        and (key in recorded.labels or (image.get("Labels") or {}).get(key) != value)
    }
    config["Volumes"] = _without(config.get("Volumes"), image.get("Volumes"), keep=recorded.volumes)
    published = frozenset(old["HostConfig"].get("PortBindings") or {})
    ports = _without(config.get("ExposedPorts"), image.get("ExposedPorts"), keep=recorded.ports | published)
    config["ExposedPorts"] = ports | {port: {} for port in published}
    for name in _SCALARS:
        if _is_set(name, config.get(name), image.get(name), recorded):
            fields.add(name)
        else:
            config.pop(name, None)
    fields |= _subtract_command(config, image, recorded)
    fields |= _subtract_health(config, image, recorded)
    config.pop("OnBuild", None)
    _subtract_hostname(config, old)
    return config, UserSet(
        env=frozenset(map(_key, config["Env"])),
        labels=frozenset(config["Labels"]),
        volumes=frozenset(config["Volumes"]),
        ports=frozenset(config["ExposedPorts"]),
        fields=frozenset(fields),
    )


def _key(line: str) -> str:
    """Return the variable of a line of `Env`; without `=` the line takes an image's variable away."""
    return line.partition("=")[0]


def _without(mine: Json | None, image: Json | None, *, keep: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in (mine or {}).items() if key in keep or key not in (image or {})}


def _is_set(name: str, mine: object, image: object, recorded: UserSet) -> bool:
    """Whether the creator set it: nothing set counts as the image's, because the engine would have filled it in."""
    return bool(mine) and (name in recorded.fields or mine != image)


def _subtract_command(config: dict[str, Any], image: Json, recorded: UserSet) -> set[str]:
    """Take away an entry point and a command that are the image's.

    The engine takes the image's command only where the creator gave neither, so a command beside an own entry point
    is the creator's, also when it equals the image's, and also when there is none. An entry point that the creator
    emptied shows as none; the engine's word for that is a list with an empty string.
    """
    entrypoint, command = config.get("Entrypoint") or [], config.get("Cmd") or []
    own_entrypoint = (
        "Entrypoint" in recorded.fields
        or entrypoint != (image.get("Entrypoint") or [])
        or (not command and bool(image.get("Cmd")))
    )
    if own_entrypoint:
        config["Entrypoint"] = entrypoint or [""]
        return {"Entrypoint"}
    config.pop("Entrypoint", None)
    if "Cmd" in recorded.fields or command != (image.get("Cmd") or []):
        return {"Cmd"}
    config.pop("Cmd", None)
    config.pop("ArgsEscaped", None)
    return set()


def _subtract_health(config: dict[str, Any], image: Json, recorded: UserSet) -> set[str]:
    mine, defaults = config.pop("Healthcheck", None) or {}, image.get("Healthcheck") or {}
    own = {
        part: mine[part]
        for part in _HEALTH_PARTS
        if _is_set(f"Healthcheck.{part}", mine.get(part), defaults.get(part), recorded)
    }
    if own:
        config["Healthcheck"] = own
    return {f"Healthcheck.{part}" for part in own}


def _subtract_hostname(config: dict[str, Any], old: Json) -> None:
    """Take away a host name that the engine made from the id, or that belongs to the container it shares a network with."""
    shared = _mode(old).startswith("container:")
    if shared or config.get("Hostname") == old["Id"][:_SHORT_ID]:
        config.pop("Hostname", None)
    if shared:
        config.pop("Domainname", None)


# the host side


def _host_config(old: Json) -> dict[str, Any]:
    host: dict[str, Any] = copy.deepcopy(dict(old["HostConfig"]))
    host["RestartPolicy"] = NEVER.as_json()
    host["Links"] = [_link(link) for link in host.get("Links") or ()]
    volumes = {
        posixpath.normpath(mount["Destination"]): mount
        for mount in old.get("Mounts") or ()
        if mount["Type"] == "volume" and mount.get("Name")
    }
    for bind in host.get("Binds") or ():
        volumes.pop(_bind_destination(bind), None)
    for mount in host.get("Mounts") or ():
        known = volumes.pop(posixpath.normpath(mount["Target"]), None)
        if known is not None and not mount.get("Source"):
            mount["Source"] = known["Name"]
    # What is left are anonymous volumes: named here, or the successor would start with new, empty ones.
    host["Binds"] = [*(host.get("Binds") or ()), *(_as_bind(mount) for mount in volumes.values())]
    return host


def _link(link: str) -> str:
    """Return `/source:/consumer/alias`, the engine's way to show a legacy link, as `source:alias`."""
    source, _, alias = link.partition(":")
    return f"{source.removeprefix('/')}:{posixpath.basename(alias)}"


def _bind_destination(bind: str) -> str:
    parts = bind.split(":")
    return posixpath.normpath(parts[1] if len(parts) > 1 else parts[0])


def _as_bind(mount: Json) -> str:
    """Return an anonymous volume as a bind; `nocopy`, because emptied by its user it must not be filled again."""
    return f"{mount['Name']}:{mount['Destination']}:{'rw' if mount['RW'] else 'ro'},nocopy"


# networks


def _mode(old: Json) -> str:
    return str(old["HostConfig"].get("NetworkMode") or "default")


def _networks(old: Json) -> tuple[Endpoints, Endpoints, str | None]:
    """Return the endpoint to create with, the endpoints to connect, and the network to leave."""
    mode = _mode(old)
    if mode in {"host", "none"} or mode.startswith("container:"):
        return {}, {}, None
    networks: Json = old["NetworkSettings"].get("Networks") or {}
    primary = _primary(mode, networks)
    endpoints: Endpoints = {name: _endpoint(name, one, old["Id"]) for name, one in networks.items()}
    if primary not in endpoints:
        return {}, endpoints, primary
    return {primary: endpoints.pop(primary)}, endpoints, None


def _primary(mode: str, networks: Json) -> str:
    """Return the name of the network that the engine connects by itself; the mode may hold its name or its id."""
    wanted = _DEFAULT_NETWORK if mode == "default" else mode
    by_id = {endpoint.get("NetworkID"): name for name, endpoint in networks.items()}
    return wanted if wanted in networks else by_id.get(wanted, wanted)


def _endpoint(network: str, endpoint: Json, container_id: str) -> dict[str, Any]:
    """Return what was configured for an endpoint, without what the engine filled in when it ran."""
    own = {part: copy.deepcopy(endpoint[part]) for part in _ENDPOINT_PARTS if endpoint.get(part)}
    aliases = [alias for alias in own.pop("Aliases", ()) if alias != container_id[:_SHORT_ID]]
    if aliases and network != _DEFAULT_NETWORK:  # the default bridge knows no aliases and refuses them
        own["Aliases"] = aliases
    return own
