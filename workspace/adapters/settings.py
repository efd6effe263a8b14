"""Read what config.yaml says of a framework, checked, so that each adapter refuses the same mistake in the same words."""

from pathlib import Path

from adapters.base import AdapterConfig, AdapterConfigurationError


def model_name(config: AdapterConfig, default: str, *, provider: str = "") -> str:
    """Return the model's name, without the provider before a colon.

    Args:
        config: what was given; `runtime_config.model` wins over `model`.
        default: the name where neither is given.
        provider: the only one that the adapter can speak to.

    Raises:
        AdapterConfigurationError: another provider is named.
    """
    model = str(config.runtime_config.get("model") or config.model or default)
    named, _, name = model.rpartition(":")
    if provider and named not in {"", provider}:
        raise AdapterConfigurationError(
            f"model is {model!r}, and this template speaks to {provider} endpoints only; "
            "write the name that the endpoint knows"
        )
    return name if provider else model


def number(config: AdapterConfig, key: str, low: float, high: float) -> float | None:
    """Return a number of `runtime_config`, or None when it is not given.

    Raises:
        AdapterConfigurationError: it is no number from `low` to `high`.
    """
    value = config.runtime_config.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise AdapterConfigurationError(
            f"runtime_config.{key} is {value!r}; write a number from {low:g} to {high:g}"
        )
    return float(value)


def system_prompt(config: AdapterConfig) -> str:
    """Return what the model is told before everything else: `runtime_config.system_prompt`, else who it is."""
    return str(config.runtime_config.get("system_prompt") or f"You are {config.name}. {config.description}")


def work_folder(config: AdapterConfig, default: str = "/workspace") -> Path:
    """Return the folder in which an agent that works on files does so: `runtime_config.folder`.

    Raises:
        AdapterConfigurationError: it is no folder.
    """
    folder = Path(str(config.runtime_config.get("folder") or default))
    if not folder.is_dir():
        raise AdapterConfigurationError(
            f"{folder} is not a folder; mount one there, or name another as runtime_config.folder"
        )
    return folder
