"""Argo CD shows of an object what kstatus says of it, and Suspended where its owner asked for what is."""

from pathlib import Path
from typing import Any

import lupa.lua51 as lua  # the language of Argo CD's health checks
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = (ROOT / "crds" / "health.lua").read_text()
CASES = yaml.safe_load((ROOT / "tests/golden/health/cases.yaml").read_text())


def health(object_: dict[str, Any]) -> dict[str, str]:
    runtime = lua.LuaRuntime(register_builtins=False, register_eval=False)
    runtime.globals().obj = runtime.table_from(object_, recursive=True)
    return dict(runtime.execute(SCRIPT))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_health_of_an_object(case: dict[str, Any]) -> None:
    assert health(case["object"]) == case["health"]
