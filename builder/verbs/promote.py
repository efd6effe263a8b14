"""`promote`: tags stand for proven images, in a Docker Engine or in registries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from builder.cascade_inputs import Registry, known_mode
from builder.contract import Outcome, Report
from builder.engine import Engine, EngineError, EngineUnavailable
from builder.login import credentials_of
from builder.oci import Client, ReadOnly, Reference, RegistryError, Unavailable
from builder.problems import Refused, TryAgain
from builder.stages.promote import EngineTags, Refusal, RegistryTags, Tag, promote
from builder.stages.promote import Outcome as SetTag
from builder.verbs._arguments import Arguments

VERB: Final = "promote"


def run(arguments: Sequence[str]) -> Report:
    """Set the tags and report them; see `builder.contract.PromoteRun`."""
    parser = Arguments(VERB, "Let tags stand for proven images.")
    parser.add_argument("--inputs", type=Path, required=True, help="JSON: mode, registry, tags, owners")
    parser.add_argument(
        "--engine", help="unix:///PATH or tcp://HOST:PORT of the Docker Engine, for mode Engine"
    )
    given = parser.parse_args(arguments)
    wanted = _read(given.inputs)
    try:
        outcomes = asyncio.run(_run(wanted, endpoint=given.engine))
    except Refusal as refusal:
        raise Refused(refusal.reason, [str(refusal)]) from refusal
    except Unavailable as error:
        raise TryAgain("RegistryUnavailable", str(error), retry_after=error.retry_after) from error
    except ReadOnly as error:
        raise TryAgain("RegistryReadOnly", str(error)) from error
    except EngineUnavailable as error:
        raise TryAgain("EngineUnavailable", str(error)) from error
    except (RegistryError, EngineError) as error:
        raise Refused("TagsRefused", [str(error)]) from error
    return _report(outcomes)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the inputs ask for."""

    mode: str
    registry: Registry
    tags: Sequence[Tag]
    owners: Sequence[str]


async def _run(wanted: _Wanted, *, endpoint: str | None) -> list[SetTag]:
    registry = wanted.registry
    if wanted.mode == "Engine":
        if endpoint is None:
            raise Refused("WrongUse", ["Mode Engine needs --engine."])
        async with Engine(endpoint) as engine:
            return await promote(EngineTags(engine), wanted.tags, wanted.owners)
    credentials = credentials_of(registry.docker_config)
    async with Client(credentials, insecure=registry.insecure, ca_file=registry.ca_file) as client:
        return await promote(RegistryTags(client), wanted.tags, wanted.owners)


def _report(outcomes: Sequence[SetTag]) -> Report:
    states = [done.state for done in outcomes]
    facts: dict[str, Any] = {"set": states.count("Set"), "moved": states.count("Moved"), "count": len(states)}
    details = {
        done.tag.target: {"digest": done.digest, "state": done.state}
        | ({"before": done.before} if done.state == "Moved" else {})
        for done in outcomes
    }
    message = f"{len(outcomes)} tags stand for what they should."
    report = Report(VERB, Outcome.DONE, "Promoted", message, {**facts, "tags": details})
    try:
        report.to_line()
    except ValueError:  # more than a report holds; they are as asked for, each
        return Report(VERB, Outcome.DONE, "Promoted", message, facts)
    return report


def _read(file: Path) -> _Wanted:
    try:
        document = json.loads(file.read_bytes())
        mode = known_mode(document["mode"])
        tags = [_tag(tag, mode) for tag in document["tags"]]
        owners = [str(owner) for owner in document.get("owners") or []]
        return _Wanted(mode, Registry.from_document(document.get("registry") or {}), tags, owners)
    except KeyError as error:
        raise Refused("InvalidInputs", [f"{file} has no field {error}."]) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise Refused("InvalidInputs", [f"{file} is not a promotion's inputs: {error}."]) from error


def _tag(document: dict[str, Any], mode: str) -> Tag:
    tag = Tag(document["from"], document["to"], bool(document["move"]), document.get("expect"))
    if ":" not in tag.target.rpartition("/")[2]:
        raise ValueError(f"{tag.target!r} has no tag")
    if mode == "Remote" and Reference.parse(tag.source).name != Reference.parse(tag.target).name:
        raise ValueError(f"{tag.source} and {tag.target} are not in the same repository")
    return tag
