"""Watches the containers around one name: lists them once, then inspects only what may have changed.

The list of an engine grows with all its containers and an inspection does not; between stopping the old container
and starting the new one every millisecond is an outage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from controller.api.names import LABEL_CREATE_SPEC
from controller.clients.docker import DockerEngine
from controller.model.container import ContainerState, ContainerSummary
from controller.model.create_spec import CreateRecord
from controller.model.errors import NotFound, Terminal, Transient
from controller.plan.carry_over import unfinished_networks
from controller.plan.replacement_facts import Facts, Member
from controller.plan.units import find_unit

_ATTEMPTS: Final = 3


class UnitView:
    """The unit of one name as last seen; `old` and `new` are its members' inspections, empty where there is none."""

    def __init__(self, engine: DockerEngine, name: str) -> None:
        self.name = name
        self.old: dict[str, Any] = {}
        self.new: dict[str, Any] = {}
        self.listed: tuple[ContainerSummary, ...] = ()
        self.stranded: str | None = None
        """Name of a container under an interim name whose counterpart somebody removed."""
        self._engine = engine
        self._old_id: str | None = None
        self._new_id: str | None = None
        self._foreign_id: str | None = None
        self._orphan_id: str | None = None
        self._known = False
        self._look_old = self._look_new = True

    def forget(self) -> None:
        """List everything at the next look: something was not as expected."""
        self._known = False

    def touched(self, *, old: bool = True, new: bool = True) -> None:
        """Inspect these members at the next look; what nobody touched for an instant is not asked for again."""
        self._look_old |= old
        self._look_new |= new

    def created(self, container_id: str) -> None:
        """Take a container that was just made as the successor."""
        self._new_id = container_id
        self.touched()

    def removed_new(self) -> None:
        """The successor is gone: the old one is alone again."""
        self._new_id, self.new = None, {}
        self.touched()

    def removed_old(self) -> None:
        """The old one is gone: its successor is the holder now."""
        self._old_id, self._new_id = self._new_id, None
        self.old, self.new = self.new, {}

    def stopped_old(self) -> None:
        """The engine has said that the old one ended, and its policy keeps it so."""
        self.old["State"] = self.old["State"] | {"Status": ContainerState.EXITED.value}

    def renamed(self, member: dict[str, Any], name: str) -> None:
        """The engine has given `old` or `new` this name."""
        member["Name"] = f"/{name}"

    def armed(self, member: dict[str, Any], policy: Mapping[str, Any]) -> None:
        """The engine has given `old` or `new` this restart policy."""
        member["HostConfig"] = member["HostConfig"] | {"RestartPolicy": dict(policy)}

    async def look(self) -> Facts:
        """Return what the engine shows now.

        Raises:
            Transient: the engine did not answer.
            Terminal: a container that is not ours claims to be the successor.
        """
        for _ in range(_ATTEMPTS):
            if not self._known:
                await self._list()
            try:
                await asyncio.gather(self._inspect_old(), self._inspect_new())
            except NotFound:
                self.forget()
                continue
            self._look_old = self._look_new = False
            return self._facts()
        raise Transient(f"The containers of {self.name} change while they are looked at")

    async def _list(self) -> None:
        self.listed = await self._engine.containers()
        unit = find_unit(self.name, self.listed)
        self._old_id, self._new_id = _id(unit.old), _id(unit.new)
        self._foreign_id, self._orphan_id = _id(unit.foreign), _id(unit.orphan)
        self.stranded = unit.stranded.name if unit.stranded is not None else None
        self.touched()
        self._known = True

    async def _inspect_old(self) -> None:
        if self._look_old:
            self.old = await self._engine.inspect_container(self._old_id) if self._old_id else {}

    async def _inspect_new(self) -> None:
        if self._look_new:
            self.new = await self._engine.inspect_container(self._new_id) if self._new_id else {}

    def _facts(self) -> Facts:
        old = Member.of(self.old) if self.old else None
        if not self.new:
            return Facts(self.name, old, foreign_id=self._foreign_id, orphan_id=self._orphan_id)
        record = CreateRecord.from_label(self.new["Config"]["Labels"].get(LABEL_CREATE_SPEC))
        if record is None or record.succeeds is None:
            raise Terminal(
                "NameTaken",
                f"Container {self.new['Name'].lstrip('/')} says that it replaces {self.name} but carries no record of how.",
                fix="Remove it, or rename it.",
            )
        missing, leave = unfinished_networks(self.old, self.new)
        return Facts(
            self.name,
            old,
            Member.of(self.new),
            record,
            foreign_id=self._foreign_id,
            to_disconnect=leave,
            to_connect=tuple(missing),
        )


def _id(summary: ContainerSummary | None) -> str | None:
    return summary.id if summary is not None else None
