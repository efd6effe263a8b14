"""Load the plugins that config.yaml names and call their hooks.

A plugin is a Python file or package in the plugins folder with any of these functions:

- `before_turn(turn) -> Turn | None` may return another turn to answer instead.
- `after_turn(turn, reply) -> None` sees what was answered.
"""

import importlib.util
import inspect
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from adapters.base import Turn

NAMESPACE = "workspace_plugin_"

logger = logging.getLogger(__name__)


class Plugins:
    """The loaded plugins, in the order of config.yaml. No fault of a plugin costs a turn: it is logged."""

    def __init__(self, modules: Iterable[ModuleType] = ()) -> None:
        self._modules = tuple(modules)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the loaded plugins."""
        return tuple(module.__name__.removeprefix(NAMESPACE) for module in self._modules)

    async def before_turn(self, turn: Turn) -> Turn:
        """Let each plugin look at the turn or replace it."""
        for module in self._modules:
            changed = await _call(module, "before_turn", turn)
            if isinstance(changed, Turn):
                turn = changed
        return turn

    async def after_turn(self, turn: Turn, reply: str) -> None:
        """Let each plugin see the answer."""
        for module in self._modules:
            await _call(module, "after_turn", turn, reply)


def load_plugins(names: Iterable[str], folder: Path) -> Plugins:
    """Import every named plugin from `folder`; one that cannot be imported is left out and logged."""
    modules = []
    for name in names:
        try:
            modules.append(_load(name, folder))
        except Exception:
            logger.exception("Leaving out plugin %r of %s", name, folder)
    return Plugins(modules)


def _load(name: str, folder: Path) -> ModuleType:
    candidates = (folder / name / "__init__.py", folder / f"{name}.py")
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"neither {candidates[0]} nor {candidates[1]} exists")
    # A prefix of our own: a plugin called `config` must not stand in for a module that others import.
    qualified = f"{NAMESPACE}{name}"
    spec = importlib.util.spec_from_file_location(
        qualified, path, submodule_search_locations=[str(path.parent)] if path.name == "__init__.py" else None
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[qualified] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[qualified]
        raise
    return module


async def _call(module: ModuleType, hook: str, *arguments: object) -> object:
    function = getattr(module, hook, None)
    if function is None:
        return None
    try:
        result = function(*arguments)
        return await result if inspect.isawaitable(result) else result
    except Exception:
        logger.exception(
            "Going on after hook %s of plugin %s failed", hook, module.__name__.removeprefix(NAMESPACE)
        )
        return None
