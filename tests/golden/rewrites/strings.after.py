import asyncio
import importlib
import importlib.util as finder
import os
import pkgutil
import runpy
import sys
from importlib import import_module, resources
from importlib.metadata import EntryPoint
from unittest import mock
from unittest.mock import patch

import uvicorn


def certain(name):
    importlib.import_module("molecule_runtime.config")
    import_module('molecule_runtime.adapters.base')
    import_module(r"""molecule_runtime.adapters.deep.leaf""")
    import_module("molecule_runtime.adapters" ".base")
    importlib.import_module(f"molecule_runtime.adapters.{name}")
    importlib.import_module("molecule_runtime.adapters." + name)
    importlib.import_module("molecule_runtime.adapters.%s" % name)
    importlib.import_module("molecule_runtime.adapters.{}".format(name))
    importlib.import_module(".base", package="molecule_runtime.adapters")
    importlib.import_module("os.path")
    finder.find_spec("molecule_runtime.adapters.not_there")
    resources.files("molecule_runtime.adapters").joinpath("x")
    __import__("molecule_runtime.config", fromlist=("__name__",))
    __import__("molecule_runtime.adapters.base", fromlist=["BaseAdapter"])
    runpy.run_module("molecule_runtime.main", run_name="__main__")
    sys.modules["molecule_runtime.config"]
    sys.modules.get("molecule_runtime.adapters.base")
    "molecule_runtime.events" in sys.modules
    sys.modules.pop(f"molecule_runtime.adapters.{name}", None)
    with patch("molecule_runtime.config.load"), mock.patch("molecule_runtime.adapters.base.BaseAdapter"):
        pass
    with patch.dict(sys.modules, {"molecule_runtime.events": None, "os": None}):
        pass
    return [sys.executable, "-m", "molecule_runtime.main", "config"], ("python3", "-I", "-m", "molecule_runtime.adapters.deep.leaf")


def uncertain(name, loader, importlib_like):
    importlib.import_module(name)
    importlib.import_module(f"adapt{name}")
    loader.import_module("config")
    kind = "adapters.base:BaseAdapter"
    attribute = "config.load"
    shell = "cd / && python -m main --help"
    return kind, attribute, shell


NOT_REFERENCES = ["config", "config.yaml", "config.nothing_there", "git commit -m config", {"events": "adapters"}]


def certain_by_keyword_and_elsewhere():
    importlib.import_module(name="molecule_runtime.config")
    importlib.import_module(package="molecule_runtime.adapters", name=".base")
    __import__(name="molecule_runtime.config", fromlist=("__name__",))
    runpy.run_module(mod_name="molecule_runtime.main")
    mock.patch(target="molecule_runtime.config.load", new=None)
    patch.multiple("molecule_runtime.adapters.base", BaseAdapter=None)
    pkgutil.resolve_name("molecule_runtime.adapters.base:BaseAdapter")
    EntryPoint(name="base", group="adapters", value="molecule_runtime.adapters.base:BaseAdapter")
    uvicorn.run("molecule_runtime.main:application", port=8000)
    sys.modules["molecule_runtime.config"] = None
    del sys.modules['molecule_runtime.adapters.base']
    os.execlp("python", "python", "-m", "molecule_runtime.main")
    asyncio.create_subprocess_exec(sys.executable, "-B", "-m", f"molecule_runtime.adapters.{os}")


@patch("molecule_runtime.config.load")
@mock.patch.object(importlib, "config", "events.NAME")
def decorated(load, python):
    command = [python, "-m", "main"], [*python, "-u", "-m", "main"], ["git", "commit", "-m", "main"]
    monkeypatch.setattr("config.VALUE", 2)
    return command, dict(handler="adapters.base.BaseAdapter")
