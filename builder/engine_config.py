"""Turns what an engine tells of an image into the configuration that a registry would hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_RUN_OPTIONS: Final = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal",
    "Healthcheck", "Shell", "OnBuild", "ArgsEscaped",
)  # fmt: skip
"""What an image says about its containers; an engine's answer mixes it with fields that only containers have."""


def image_config(seen: Mapping[str, Any], history: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the configuration of an engine's image, as a registry would hold it."""
    run = {key: seen["Config"][key] for key in _RUN_OPTIONS if (seen.get("Config") or {}).get(key)}
    places = {"architecture": seen["Architecture"], "os": seen["Os"], "variant": seen.get("Variant") or ""}
    layers = seen["RootFS"].get("Layers") or []
    return {
        **{key: value for key, value in places.items() if value},
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": layers},
        "history": _history(history, len(layers)),
    }


def _history(steps: list[dict[str, Any]], layers: int) -> list[dict[str, Any]]:
    """Return the steps, oldest first, with as many that made a layer as there are layers.

    The engine tells sizes, not which steps made a layer; where an empty layer makes that ambiguous, the steps are
    summed up as one per layer, since an engine refuses to show a history that does not fit.
    """
    full = sum(1 for step in steps if step.get("Size"))
    if full != layers:
        return [{"created_by": f"layer {number} of the full build"} for number in range(1, layers + 1)]
    return [
        {"created_by": str(step.get("CreatedBy", ""))} | ({} if step.get("Size") else {"empty_layer": True})
        for step in reversed(steps)
    ]
