"""What the CustomResourceDefinition says beyond types and bounds: list types, rules between fields, and what only code checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from controller.api.patterns import NAME_PATTERN
from controller.api.strategies import BUILD_RULES, OURS, TEMPLATE_RULES
from controller.api.v1alpha1.git import LOOPBACK_PATTERN, NOBODY_BY_SSH, PLAIN_HTTP
from controller.api.v1alpha1.rollout import (
    CHOOSES_ALL,
    CHOOSES_NOTHING,
    LAST_CHOOSES,
    LAST_SOAKS,
    NO_WAVE,
    NOT_MORE,
)
from controller.api.v1alpha1.source import NO_SOURCE, TWO_SOURCES
from controller.api.v1alpha1.targets import (
    KEY_WITHOUT_SSH,
    SSH_WITHOUT_KEY,
    TCP_WITHOUT_TLS,
    TLS_WITHOUT_TCP,
)

Rule = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Keyed:
    """A list whose entries have a name: two writers of different entries do not overwrite each other."""

    key: str


ListType = Keyed | Literal["set", "atomic"]

LISTS: Final[Mapping[str, ListType]] = {
    "spec.package.signing.publicKeys": "atomic",
    "spec.templates": Keyed("name"),
    "spec.templates[].tags": "set",
    "spec.templates[].preReleaseTags": "set",
    "spec.templates[].build.platforms": "set",
    "spec.templates[].build.rebuildOn": "set",
    "spec.templates[].probe.env": Keyed("name"),
    "spec.targets.workloads": Keyed("name"),
    "spec.targets.workloads[].namespaces": "set",
    "spec.targets.dockerHosts": Keyed("name"),
    "spec.rollout.waves": "atomic",
    "spec.rollout.waves[].hosts": "set",
    "spec.rollout.windows": "atomic",
    "spec.rollout.windows[].days": "set",
    "spec.notifications": Keyed("secretName"),
    "spec.notifications[].on": "set",
    "status.conditions": Keyed("type"),
    "status.templates": Keyed("name"),
    "status.stragglers": "atomic",
    "status.history": "atomic",
}
"""How two writers of each list are merged by server-side apply, by the list's path."""

UNDEFAULTED: Final[Mapping[str, str]] = {
    "spec.templates[].promote": "true where the image is built here, else false: a default of the schema knows no strategy",
}
"""Fields whose default depends on others, with how: a stored default would be taken for what somebody typed."""

UNCHECKED: Final[Mapping[str, str]] = {
    "spec.version": "two spellings of one PEP 440 version, as 1.0+01 and 1.0+1, and versionCeiling: versions have no order there",
    "spec.templates[].probe.resources.limits": "the least amounts (10m, 16Mi): quantities have no order in a pattern",
    "spec.rollout.waves[].hosts": "that each is a host or namespace of targets: to compare the three lists costs too much",
    "spec.rollout.windows[].timeZone": "that there is such a time zone: the API server knows none",
    "metadata.annotations": "a rule sees no annotation",
}
"""What the schema takes and the models refuse, with why. The operator says so in condition Stalled, reason Invalid."""

_OURS_CEL: Final = "[" + ", ".join(f"'{each}'" for each in sorted(OURS)) + "]"
_HOSTED: Final = "image.matches('^([^/]*[.:][^/]*|localhost)/')"


def _rule(cel: str, message: str, field: str = "") -> Rule:
    return {"rule": cel, "message": message, **({"fieldPath": f".{field}"} if field else {})}


_LOOPBACK_CEL: Final = LOOPBACK_PATTERN.replace("\\", "\\\\")
_GIT: Final = (
    _rule(
        f"!self.url.startsWith('http://') || self.insecure || self.url.matches('{_LOOPBACK_CEL}')",
        PLAIN_HTTP,
        "url",
    ),
    _rule("!self.url.startsWith('ssh://') || has(self.credentialsSecretName)", NOBODY_BY_SSH, "url"),
)
_DIRECTORY: Final = "has(self.directory) && self.directory != ''"

_PLATFORMS: Final = "has(t.build.platforms) && size(t.build.platforms) > 1"

_NO_WAVES: Final = "!has(self.waves) || size(self.waves) == 0"
_LAST: Final = "self.waves[size(self.waves) - 1]"
_CHOOSES: Final = "has(w.selector) || has(w.percent) || (has(w.hosts) && size(w.hosts) > 0)"
_PERCENTS: Final = "self.waves.filter(w, has(w.percent)).map(w, w.percent)"

RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "": (
        _rule(
            f"size(self.metadata.name) <= 63 && self.metadata.name.matches('{NAME_PATTERN}')",
            "metadata.name must consist of at most 63 lower-case letters, digits and '-', and begin and end with a letter or"
            " digit",
        ),
    ),
    "spec": (
        _rule(
            "self.templates.all(t, self.templates.exists_one(o, o.image == t.image))",
            "an image stands twice; each entry needs its own",
            "templates",
        ),
        _rule(
            f"self.registry.mode != 'Engine' || self.templates.all(t, t.build.strategy in {_OURS_CEL})",
            "strategies Dispatch and Follow need registry.mode: Remote; nobody else can deliver an image to one engine",
            "templates",
        ),
        _rule(
            f"self.registry.mode != 'Remote' || self.templates.all(t, t.{_HOSTED})",
            "an image names no registry host; write HOST/REPOSITORY, or use registry.mode: Engine",
            "templates",
        ),
        _rule(
            f"self.registry.mode != 'Engine' || !self.templates.exists(t, {_PLATFORMS})",
            "an engine has images of one platform; keep one in each build.platforms, or use registry.mode: Remote",
            "templates",
        ),
        _rule(
            "self.registry.mode != 'Engine' || !has(self.targets.workloads) || size(self.targets.workloads) == 0",
            "need registry.mode: Remote; the nodes of a cluster pull from a registry",
            "targets.workloads",
        ),
        _rule(
            "self.registry.mode != 'Engine' || !has(self.targets.dockerHosts) || size(self.targets.dockerHosts) <= 1",
            "names several hosts, and in registry.mode: Engine images are in one of them only; use Remote",
            "targets.dockerHosts",
        ),
        _rule(
            "self.registry.mode != 'Engine' || self.registry.artifacts.matches('^[^/:]*$')",
            "must be a volume name in Engine mode; use letters, digits, '.', '_' and '-'",
            "registry.artifacts",
        ),
    ),
    "spec.source": (
        _rule(f"has(self.git) || ({_DIRECTORY})", NO_SOURCE),
        _rule(f"!has(self.git) || !({_DIRECTORY})", TWO_SOURCES),
    ),
    "spec.source.git": _GIT,
    "spec.templates[].build.git": _GIT,
    "spec.targets": (
        _rule(
            "(has(self.workloads) && size(self.workloads) > 0) || (has(self.dockerHosts) && size(self.dockerHosts) > 0)",
            "names nothing to roll; name dockerHosts, workloads, or both",
        ),
    ),
    "spec.targets.dockerHosts[]": (
        _rule(
            "!self.endpoint.startsWith('tcp:') || has(self.tlsSecretName)", TCP_WITHOUT_TLS, "tlsSecretName"
        ),
        _rule(
            "self.endpoint.startsWith('tcp:') || !has(self.tlsSecretName)", TLS_WITHOUT_TCP, "tlsSecretName"
        ),
        _rule(
            "!self.endpoint.startsWith('ssh:') || has(self.sshSecretName)", SSH_WITHOUT_KEY, "sshSecretName"
        ),
        _rule(
            "self.endpoint.startsWith('ssh:') || !has(self.sshSecretName)", KEY_WITHOUT_SSH, "sshSecretName"
        ),
    ),
    "spec.rollout": (
        _rule(
            f"{_NO_WAVES} || self.waves.all(w, self.waves.exists_one(o, o.name == w.name))",
            "a name stands twice; each entry needs its own",
            "waves",
        ),
        _rule(
            f"{_NO_WAVES} || self.waves.all(w, w.name == {_LAST}.name || {_CHOOSES})",
            f"a wave {CHOOSES_NOTHING}",
            "waves",
        ),
        _rule(
            f"{_NO_WAVES} || !self.waves.exists(w, w.name == {_LAST}.name && ({_CHOOSES}))",
            f"selector, hosts or percent {LAST_CHOOSES}",
            "waves",
        ),
        _rule(
            f"{_NO_WAVES} || {_LAST}.soakSeconds == 0",
            f"soakSeconds {LAST_SOAKS}",
            "waves",
        ),
        _rule(
            f"{_NO_WAVES} || {_PERCENTS}.isSorted() && {_PERCENTS}.all(p, {_PERCENTS}.exists_one(q, q == p))",
            f"percent {NOT_MORE}",
            "waves",
        ),
        _rule(
            "!has(self.promoteAfterWave) || (has(self.waves) && self.waves.exists(w, w.name == self.promoteAfterWave))",
            NO_WAVE,
            "promoteAfterWave",
        ),
    ),
    "spec.rollout.waves[].selector": (
        _rule("has(self.matchLabels) && size(self.matchLabels) > 0", CHOOSES_ALL),
    ),
    "spec.templates[]": tuple(_rule(rule.cel, rule.message, rule.field) for rule in TEMPLATE_RULES),
    "spec.templates[].build": (
        *(_rule(rule.cel, rule.message, rule.field) for rule in BUILD_RULES),
        _rule(
            "!(has(self.platforms) && size(self.platforms) > 1) || has(self.fullBuild) || self.strategy in ['Dispatch', 'Follow']",
            "names several platforms, and only one is built here; name in fullBuild the image or index that has the full"
            " builds for the others",
            "platforms",
        ),
        _rule(
            "!has(self.fullBuild) || (has(self.platforms) && size(self.platforms) > 1)",
            "is for further platforms, and platforms names none; name them, or remove it",
            "fullBuild",
        ),
        _rule(
            "!has(self.fullBuild) || self.fullBuild.matches('^([^/]*[.:][^/]*|localhost)/')",
            "names no registry host; write HOST/REPOSITORY:TAG",
            "fullBuild",
        ),
    ),
}
"""The rules between fields (CEL), by the path of what `self` is; the models have each of them, with the same cure.

NOTE: A message that names the entry it is about (`messageExpression`) exceeds the API server's budget for fifty templates.
"""
