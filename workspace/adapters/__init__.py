"""Find the adapter that connects this workspace to its agent framework."""

import importlib
import inspect
import os
import sys
from pathlib import Path
from types import ModuleType

from adapters.base import AdapterConfig, BaseAdapter

__all__ = ["AdapterConfig", "BaseAdapter", "get_adapter", "load_adapter_module"]

VARIABLE = "ADAPTER_MODULE"


def load_adapter_module() -> ModuleType:
    """Import the module that `ADAPTER_MODULE` names.

    The working directory is searched last: images keep their adapter in it (`WORKDIR /app`), and a console
    script, unlike `python -m`, does not put it on the path.

    Raises:
        KeyError: `ADAPTER_MODULE` is not set; the text names it.
        Exception: whatever the module raises while it is imported.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        raise KeyError(f"{VARIABLE} is not set; set it to the importable module of this workspace's adapter")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    return importlib.import_module(name)


def get_adapter(runtime: str | None = None) -> type[BaseAdapter]:
    """Return the adapter class of the module that `ADAPTER_MODULE` names.

    The class is the module's attribute `Adapter`, else the only subclass of `BaseAdapter` that the module
    defines itself.

    Args:
        runtime: key `runtime` of config.yaml. `ADAPTER_MODULE` decides; this only makes an error readable.

    Raises:
        KeyError: `ADAPTER_MODULE` is not set; the text names it.
        TypeError: the module has no such class, or several.
        Exception: whatever the module raises while it is imported.
    """
    try:
        module = load_adapter_module()
    except KeyError as error:
        if runtime is None or VARIABLE not in str(error):
            raise
        raise KeyError(f"{error.args[0]} (runtime {runtime!r} of config.yaml does not choose one)") from error
    chosen = getattr(module, "Adapter", None)
    if chosen is None:
        own = [
            value
            for value in vars(module).values()
            if inspect.isclass(value)
            and issubclass(value, BaseAdapter)
            and value.__module__ == module.__name__
        ]
        if len(own) != 1:
            names = ", ".join(cls.__name__ for cls in own) or "none"
            raise TypeError(
                f"module {module.__name__} has no attribute Adapter and defines these subclasses of BaseAdapter: "
                f"{names}; assign the right one to Adapter"
            )
        chosen = own[0]
    if not inspect.isclass(chosen) or not issubclass(chosen, BaseAdapter):
        raise TypeError(f"{module.__name__}.Adapter is {chosen!r}; make it a subclass of BaseAdapter")
    return chosen
