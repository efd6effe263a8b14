"""Loads the adapter that the template's image names."""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path


def get_adapter() -> Callable[[str], str]:
    """Return the function that answers a turn, from the module that ADAPTER_MODULE names."""
    sys.path.insert(0, str(Path.cwd()))
    adapter: Callable[[str], str] = importlib.import_module(os.environ["ADAPTER_MODULE"]).answer
    return adapter
