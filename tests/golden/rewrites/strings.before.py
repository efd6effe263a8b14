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
    importlib.import_module("config")
    import_module('adapters.base')
    import_module(r"""adapters.deep.leaf""")
    import_module("adapters" ".base")
    importlib.import_module(f"adapters.{name}")
    importlib.import_module("adapters." + name)
    importlib.import_module("adapters.%s" % name)
    importlib.import_module("adapters.{}".format(name))
    importlib.import_module(".base", package="adapters")
    importlib.import_module("os.path")
    finder.find_spec("adapters.not_there")
    resources.files("adapters").joinpath("x")
    __import__("config")
    __import__("adapters.base", fromlist=["BaseAdapter"])
    runpy.run_module("main", run_name="__main__")
    sys.modules["config"]
    sys.modules.get("adapters.base")
    "events" in sys.modules
    sys.modules.pop(f"adapters.{name}", None)
    with patch("config.load"), mock.patch("adapters.base.BaseAdapter"):
        pass
    with patch.dict(sys.modules, {"events": None, "os": None}):
        pass
    return [sys.executable, "-m", "main", "config"], ("python3", "-I", "-m", "adapters.deep.leaf")


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
    importlib.import_module(name="config")
    importlib.import_module(package="adapters", name=".base")
    __import__(name="config")
    runpy.run_module(mod_name="main")
    mock.patch(target="config.load", new=None)
    patch.multiple("adapters.base", BaseAdapter=None)
    pkgutil.resolve_name("adapters.base:BaseAdapter")
    EntryPoint(name="base", group="adapters", value="adapters.base:BaseAdapter")
    uvicorn.run("main:application", port=8000)
    sys.modules["config"] = None
    del sys.modules['adapters.base']
    os.execlp("python", "python", "-m", "main")
    asyncio.create_subprocess_exec(sys.executable, "-B", "-m", f"adapters.{os}")


@patch("config.load")
@mock.patch.object(importlib, "config", "events.NAME")
def decorated(load, python):
    command = [python, "-m", "main"], [*python, "-u", "-m", "main"], ["git", "commit", "-m", "main"]
    monkeypatch.setattr("config.VALUE", 2)
    return command, dict(handler="adapters.base.BaseAdapter")
