"""`cascade`: one candidate image per template, in a Docker Engine or in registries."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from packaging.version import Version

from builder.buildah import Buildah
from builder.cascade import Cascade
from builder.cascade_inputs import CascadeInputs
from builder.contract import Outcome, Report
from builder.derived import LayerReader
from builder.engine import Engine, EngineUnavailable
from builder.foreign import Foreign
from builder.full_builds import FullBuilds
from builder.login import Login, credentials_of
from builder.made import Failure, Made
from builder.npmconf import Npm
from builder.oci import Client, Platform, Reference
from builder.pipconf import Index
from builder.problems import Refused, TryAgain
from builder.remote_store import Access, RemoteStore
from builder.stores import EngineStore, Store
from builder.verbs._arguments import Arguments
from builder.wheel import Wheel
from builder.workshop import BuildahWorkshop, EngineWorkshop, NoWorkshop, Workshop

VERB: Final = "cascade"
_STORE_UNSUPPORTED: Final = (
    "The Docker Engine at {} keeps images in containerd's store, which takes no image without all of its layers. "
    "Switch that store off (features.containerd-snapshotter: false in its daemon.json), or use registry.mode: Remote."
)


def run(arguments: Sequence[str]) -> Report:
    """Make the candidates and report them; see `builder.contract.CascadeRun`."""
    parser = Arguments(VERB, "Make one candidate image per template from one wheel.")
    parser.add_argument(
        "--inputs", type=Path, required=True, help="JSON: the wheel, where images go, the templates"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for result.json, inventories and build logs"
    )
    parser.add_argument(
        "--engine",
        help="unix:///PATH or tcp://HOST:PORT of the Docker Engine; without one nothing is built in full",
    )
    parser.add_argument(
        "--buildah", type=Path, help="a folder of its own for Buildah, which builds in full without an engine"
    )
    given = parser.parse_args(arguments)
    inputs = CascadeInputs.read(given.inputs)
    wheel = _wheel(inputs)
    started = time.monotonic()
    results = asyncio.run(_run(inputs, wheel, given))
    given.out.mkdir(parents=True, exist_ok=True)
    result = given.out / "result.json"
    documents = {name: made.to_document() for name, made in results.items()}
    result.write_text(json.dumps({"templates": documents}, indent=2, sort_keys=True))
    return _report(results, result, seconds=round(time.monotonic() - started, 3))


def _wheel(inputs: CascadeInputs) -> Wheel:
    wheel = Wheel.read(inputs.wheel)
    if wheel.sha256 != inputs.wheel_sha256:
        raise Refused("WheelChanged", [f"{wheel.path} has sha256 {wheel.sha256}, not {inputs.wheel_sha256}."])
    if Version(wheel.version) != Version(inputs.version):
        raise Refused("WheelChanged", [f"{wheel.path} is version {wheel.version}, not {inputs.version}."])
    return wheel


async def _run(
    inputs: CascadeInputs, wheel: Wheel, given: argparse.Namespace
) -> Mapping[str, Made | Failure]:
    endpoint: str | None = given.engine
    out: Path = given.out
    try:
        async with contextlib.AsyncExitStack() as stack:
            engine = await stack.enter_async_context(Engine(endpoint)) if endpoint else None
            stores: Callable[[str], Store]
            foreign: Foreign | None = None
            workshop: Workshop
            if inputs.mode == "Engine":
                engine = _needed(engine)
                stores, workshop = await _engine_store(engine), EngineWorkshop(engine, inputs, wheel)
            else:
                stores = remote = await _remote_stores(inputs, engine, stack)
                layers = LayerReader(wheel)
                foreign = Foreign(wheel, remote, layers, out=out)
                if engine:
                    workshop = EngineWorkshop(engine, inputs, wheel)
                elif given.buildah:
                    buildah = _buildah(inputs, given.buildah)
                    workshop = BuildahWorkshop(layers, remote, buildah, wheel)
                else:
                    workshop = NoWorkshop(layers, remote)
            npm = Npm.of_machine(os.environ)
            full = FullBuilds(inputs, wheel, workshop=workshop, out=out, npm=npm)
            cascade = Cascade(inputs, wheel, full=full, workshop=workshop, stores=stores, foreign=foreign)
            return await cascade.run(Index.of_machine(os.environ))
    except EngineUnavailable as error:
        raise TryAgain("EngineUnavailable", str(error)) from error
    except ValueError as error:
        raise Refused("WrongUse", [str(error)]) from error


def _buildah(inputs: CascadeInputs, place: Path) -> Buildah:
    registry = inputs.registry
    hosts = {Reference.parse(template.image).host for template in inputs.templates}
    insecure = tuple(sorted(hosts)) if registry.insecure else ()
    return Buildah(place, insecure)


def _needed(engine: Engine | None) -> Engine:
    if engine is None:
        raise Refused("WrongUse", ["Mode Engine needs --engine."])
    return engine


async def _engine_store(engine: Engine) -> Callable[[str], Store]:
    if not await engine.keeps_layers_by_chain():
        raise Refused("EngineStoreUnsupported", [_STORE_UNSUPPORTED.format(engine.endpoint)])
    store = EngineStore(engine)
    return lambda _: store


async def _remote_stores(
    inputs: CascadeInputs, engine: Engine | None, stack: contextlib.AsyncExitStack
) -> Callable[[str], RemoteStore]:
    registry = inputs.registry

    async def access(login: Login | None) -> Access:
        credentials = credentials_of(login)
        client = Client(credentials, insecure=registry.insecure, ca_file=registry.ca_file)
        return Access(await stack.enter_async_context(client), credentials)

    writing = await access(registry.docker_config)
    reading = await access(registry.pull_config) if registry.pull_config else None
    platform = Platform.parse(await engine.platform()) if engine else Platform.here()
    own = RemoteStore(writing, engine, platform=platform, reading=reading)

    @cache
    def of(platform: str) -> RemoteStore:
        return own.of(Platform.parse(platform)) if platform else own

    return of


def _report(results: Mapping[str, Made | Failure], result: Path, *, seconds: float) -> Report:
    failed = {name: made for name, made in results.items() if isinstance(made, Failure)}
    for name, failure in failed.items():
        sys.stderr.write(f"{name}: {failure.reason}: {failure.message}\n")
    facts: dict[str, Any] = {"result": str(result), "seconds": seconds, "made": len(results) - len(failed)}
    if not failed:
        report = Report(VERB, Outcome.DONE, "ImagesBuilt", f"{len(results)} candidates are made.", facts)
    else:
        transient = all(failure.transient for failure in failed.values())
        waits = [failure.retry_after for failure in failed.values() if failure.retry_after is not None]
        facts["failed"] = {name: failure.reason for name, failure in failed.items()}
        facts |= {"retryAfterSeconds": max(waits)} if transient and waits else {}
        first, *others = failed.items()
        more = f" (and {len(others)} more)" if others else ""
        message = f"Template {first[0]}: {first[1].message}{more}"
        outcome = Outcome.RETRY if transient else Outcome.FAILED
        report = Report(VERB, outcome, first[1].reason, message, facts)
    return _with_templates(report, results)


def _with_templates(report: Report, results: Mapping[str, Made | Failure]) -> Report:
    """Add what became of each template, when that fits into a report; `result` has it in any case."""
    made = {name: made.essentials() for name, made in results.items() if isinstance(made, Made)}
    full = Report(
        report.verb, report.outcome, report.reason, report.message, {**report.facts, "templates": made}
    )
    try:
        full.to_line()
    except ValueError:
        return report
    return full
