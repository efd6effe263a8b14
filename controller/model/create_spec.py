"""What a container was created with, as far as its inspection cannot tell: kept in a label of the container.

An engine merges the image's defaults into a container's configuration and forgets which was which. Containers that
we create remember it: the names of what was set by their creator, never values, because labels appear in every list
and event of the engine and values may be secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.model.container import ContainerState

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When the engine starts a container again by itself; `name` is `no` rather than empty."""

    name: str = "no"
    maximum_retries: int = 0

    @classmethod
    def of(cls, policy: Mapping[str, Any] | None) -> RestartPolicy:
        """Return the policy of the engine's JSON."""
        policy = policy or {}
        return cls(policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0)

    def as_json(self) -> dict[str, Any]:
        """Return the engine's JSON."""
        return {"Name": self.name, "MaximumRetryCount": self.maximum_retries}


NEVER = RestartPolicy()


@dataclass(frozen=True, slots=True)
class UserSet:
    """The names of what the creator of a container set, rather than its image.

    `fields` holds keys of the engine's container configuration (`User`, `Entrypoint`, …; `Healthcheck.Test` for a
    part of the health check).
    """

    env: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    volumes: frozenset[str] = frozenset()
    ports: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Succeeds:
    """What a successor was created for: enough to finish or undo the replacement without the order for it."""

    was: ContainerState
    image_id: str
    version: str
    content_sha256: str | None


@dataclass(frozen=True, slots=True)
class CreateRecord:
    """The content of the create-specification label.

    `restart_policy` is the one that the container is to have; while a replacement is under way the engine holds
    `no` instead. `template` names the template that its image belongs to.
    """

    template: str
    restart_policy: RestartPolicy
    user_set: UserSet = field(default_factory=UserSet)
    succeeds: Succeeds | None = None

    def to_label(self) -> str:
        """Return the label's value."""
        document: dict[str, Any] = {
            "format": _FORMAT,
            "template": self.template,
            "restartPolicy": self.restart_policy.as_json(),
            "set": {name: sorted(getattr(self.user_set, name)) for name in _PARTS},
        }
        if self.succeeds is not None:
            document["succeeds"] = {
                "was": self.succeeds.was,
                "imageId": self.succeeds.image_id,
                "version": self.succeeds.version,
                "contentSha256": self.succeeds.content_sha256,
            }
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_label(cls, value: str | None) -> CreateRecord | None:
        """Read the label back; None when there is none, or none that this program can read."""
        try:
            document = json.loads(value or "")
            if document["format"] != _FORMAT:
                return None
            succeeds = document.get("succeeds")
            return cls(
                template=str(document["template"]),
                restart_policy=RestartPolicy.of(document["restartPolicy"]),
                user_set=UserSet(**{name: frozenset(document["set"].get(name, ())) for name in _PARTS}),
                succeeds=succeeds
                and Succeeds(
                    ContainerState(succeeds["was"]),
                    succeeds["imageId"],
                    succeeds["version"],
                    succeeds["contentSha256"],
                ),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


_PARTS = ("env", "labels", "volumes", "ports", "fields")
