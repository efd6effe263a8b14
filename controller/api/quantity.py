"""Amounts of CPU and memory as Kubernetes writes them (Quantity), for the limits of a probe."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

CPU: Final = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<milli>m?)")
MEMORY: Final = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<unit>Ki|Mi|Gi|Ti|k|M|G|T|)")
_UNITS: Final = {
    **{name: 1000**power for power, name in enumerate(("", "k", "M", "G", "T"))},
    **{name: 1024**power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti"), 1)},
}
_NANO: Final = 10**9
_LEAST_NANO_CPUS: Final = 10_000_000
"""An engine takes no less than a hundredth of a CPU."""
_LEAST_MEMORY_BYTES: Final = 16 * 1024 * 1024


def nano_cpus(value: object) -> int:
    """Return an amount of CPU in billionths.

    Raises:
        ValueError: it is no such amount, or less than an engine takes.
    """
    found = CPU.fullmatch(_typed(value))
    amount = int(Decimal(found["number"]) * _NANO / (1000 if found["milli"] else 1)) if found else 0
    if amount < _LEAST_NANO_CPUS:
        raise ValueError(f"must be an amount of CPU from 10m, such as 500m, 2 or 0.5, got {value!r}")
    return amount


def memory_bytes(value: object) -> int:
    """Return an amount of memory in bytes.

    Raises:
        ValueError: it is no such amount, or less than any template can run in.
    """
    found = MEMORY.fullmatch(_typed(value))
    amount = int(Decimal(found["number"]) * _UNITS[found["unit"]]) if found else 0
    if amount < _LEAST_MEMORY_BYTES:
        raise ValueError(f"must be an amount of memory from 16Mi, such as 512Mi or 2Gi, got {value!r}")
    return amount


def _typed(value: object) -> str:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if isinstance(value, str) or numeric else ""
