"""What words of a command line stand for: addresses to listen on, and durations."""

from __future__ import annotations

import re

import click

_UNITS = {"s": 1, "m": 60, "h": 3600}


class Listen(click.ParamType[tuple[str, int]]):
    """PORT, or HOST:PORT; a port alone is one of this machine's loopback."""

    name = "[host:]port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Return host and port; a value of another form is wrong use."""
        match = re.fullmatch(r"(?:(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):)?([0-9]{1,5})", str(value))
        if match is None or int(match[3]) > 65_535:  # noqa: PLR2004 -- the highest TCP port
            self.fail(f"{value!r} is not an address; write it like 8089 or 127.0.0.1:8089.", param, ctx)
        return match[1] or match[2] or "127.0.0.1", int(match[3])


class Duration(click.ParamType[float]):
    """A number with a unit, such as 90s, 10m or 1h, as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds; a value of another form is wrong use."""
        match = re.fullmatch(r"([0-9]+)([smh])", str(value))
        if match is None:
            self.fail(f"{value!r} is not a duration; write it like 90s, 10m or 1h.", param, ctx)
        return float(int(match[1]) * _UNITS[match[2]])
